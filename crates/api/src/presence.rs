//! Who is there: users with a screen open and customers with a page open, as far as their connections to this node say.
//!
//! Each node knows of its own connections only: it is forgotten with the process, and another node's are not asked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tieline_core::ids::TenantId;

/// People remembered; beyond it nobody new is, until some have gone.
const REMEMBERED: usize = 200_000;
/// How long a sign of life counts, microseconds.
const USER_US: i64 = 20_000_000;
const CONTACT_US: i64 = 90_000_000;

/// Who, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Person {
    /// A user.
    User(i64),
    /// A customer.
    Contact(i64),
}

/// Who is there, of this node.
#[derive(Default)]
pub struct Presence(Mutex<HashMap<TenantId, HashMap<Person, i64>>>);

impl Presence {
    /// Notes a sign of life.
    pub fn touch(&self, tenant: TenantId, person: Person, now: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().map(HashMap::len).sum::<usize>() >= REMEMBERED {
            all.retain(|_, people| {
                people.retain(|_, until| *until > now);
                !people.is_empty()
            });
            if all.values().map(HashMap::len).sum::<usize>() >= REMEMBERED {
                return;
            }
        }
        let counts = match person {
            Person::User(_) => USER_US,
            Person::Contact(_) => CONTACT_US,
        };
        all.entry(tenant).or_default().insert(person, now.saturating_add(counts));
    }

    /// Whether somebody is there.
    pub fn is_here(&self, tenant: TenantId, person: Person, now: i64) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&tenant).and_then(|people| people.get(&person)).is_some_and(|until| *until > now)
    }

    /// Numbers of the customers who are there.
    pub fn contacts(&self, tenant: TenantId, now: i64) -> Vec<i64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(people) = all.get_mut(&tenant) else { return Vec::new() };
        people.retain(|_, until| *until > now);
        let number = |person: &Person| match person {
            Person::Contact(number) => Some(*number),
            Person::User(_) => None,
        };
        people.keys().filter_map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_counts_for_a_while() {
        let (presence, tenant) = (Presence::default(), TenantId(1));
        presence.touch(tenant, Person::User(7), 0);
        presence.touch(tenant, Person::Contact(7), 0);
        assert!(presence.is_here(tenant, Person::User(7), USER_US - 1));
        assert!(!presence.is_here(tenant, Person::User(7), USER_US));
        assert!(!presence.is_here(TenantId(2), Person::User(7), 0));
        assert_eq!(presence.contacts(tenant, CONTACT_US - 1), [7]);
        assert_eq!(presence.contacts(tenant, CONTACT_US), [0i64; 0]);
    }
}
