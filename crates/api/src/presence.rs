//! Who is there: users with a screen open and customers with a page open, as far as their connections to this node say.
//!
//! Each node knows of its own connections only. That a user is there is also written down, for other nodes and for whoever
//! gives conversations to agents: the row says the same, some seconds late at most. Of customers nothing is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tieline_core::ids::TenantId;

/// People remembered; beyond it nobody new is, until some have gone.
const REMEMBERED: usize = 200_000;
/// How long a sign of life counts, microseconds.
const USER_US: i64 = 20_000_000;
const CONTACT_US: i64 = 90_000_000;
/// Least time between two writings of one user, microseconds.
const WRITTEN_EACH_US: i64 = 5_000_000;

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
pub struct Presence(Mutex<HashMap<TenantId, HashMap<Person, Here>>>);

/// Until when somebody counts as there, by this node's memory and by what is written down.
#[derive(Clone, Copy, Default)]
struct Here {
    until: i64,
    written: i64,
}

impl Presence {
    /// Notes a sign of life; until when the person then counts as there, if that is to be written down now.
    pub fn touch(&self, tenant: TenantId, person: Person, now: i64) -> Option<i64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().map(HashMap::len).sum::<usize>() >= REMEMBERED {
            all.retain(|_, people| {
                people.retain(|_, here| here.until > now);
                !people.is_empty()
            });
            if all.values().map(HashMap::len).sum::<usize>() >= REMEMBERED {
                return None;
            }
        }
        let here = all.entry(tenant).or_default().entry(person).or_default();
        match person {
            Person::User(_) => here.until = now.saturating_add(USER_US),
            Person::Contact(_) => here.until = now.saturating_add(CONTACT_US),
        }
        let is_due = matches!(person, Person::User(_)) && here.until - here.written >= WRITTEN_EACH_US;
        if is_due {
            here.written = here.until;
        }
        is_due.then_some(here.until)
    }

    /// Whether somebody is there.
    pub fn is_here(&self, tenant: TenantId, person: Person, now: i64) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&tenant).and_then(|people| people.get(&person)).is_some_and(|here| here.until > now)
    }

    /// Numbers of the customers who are there.
    pub fn contacts(&self, tenant: TenantId, now: i64) -> Vec<i64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(people) = all.get_mut(&tenant) else { return Vec::new() };
        people.retain(|_, here| here.until > now);
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
        assert_eq!(presence.touch(tenant, Person::User(7), 0), Some(USER_US));
        assert_eq!(presence.touch(tenant, Person::Contact(7), 0), None);
        assert_eq!(presence.touch(tenant, Person::User(7), WRITTEN_EACH_US - 1), None, "written down a moment ago");
        let until = WRITTEN_EACH_US + USER_US;
        assert_eq!(presence.touch(tenant, Person::User(7), WRITTEN_EACH_US), Some(until));
        assert!(presence.is_here(tenant, Person::User(7), until - 1));
        assert!(!presence.is_here(tenant, Person::User(7), until));
        assert!(!presence.is_here(TenantId(2), Person::User(7), 0));
        assert_eq!(presence.contacts(tenant, CONTACT_US - 1), [7]);
        assert_eq!(presence.contacts(tenant, CONTACT_US), [0i64; 0]);
    }
}
