//! Status and engagement of a conversation: what may happen next, and who owes a reply.
//!
//! Both are pure. [`transition`] is the only place that knows which status follows which (contract B1, D3.9 and D3.10);
//! a verb asks it, stores the answer and emits the events that the [`Change`] names. Status and engagement are separate
//! layers: a done conversation keeps its engagement, and nobody sets engagement by hand.

use std::fmt;

use super::channel::Channel;
use crate::messages::direction::{AuthorType, Direction};
use crate::time::Micros;
use crate::{Error, Result};

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// In the list of work; every new conversation.
    #[default]
    Active,
    /// Out of the list until an instant or the customer's next message.
    Snoozed,
    /// Closed; the next customer message reopens it, and the archive timer runs.
    Done,
    /// Locked for good: readable, searchable, nothing more.
    Archived,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 4] = [Status::Active, Status::Snoozed, Status::Done, Status::Archived];

    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Snoozed => "snoozed",
            Status::Done => "done",
            Status::Archived => "archived",
        }
    }

    /// The status of a word; `None` for any other text.
    pub fn from_text(text: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a transition depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// The stored status.
    pub status: Status,
    /// The stored end of a snooze; `None` unless snoozed.
    pub snoozed_until: Option<Micros>,
    /// The channel of the conversation's inbox.
    pub channel: Channel,
}

/// What somebody, or a timer, wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// An agent, a rule or the API sets it active: wakes it or reopens it.
    Activate,
    /// Somebody puts it away until an instant.
    Snooze {
        /// The end of the snooze; must lie in the future.
        until: Option<Micros>,
    },
    /// Somebody closes it.
    Finish,
    /// Somebody locks it for good.
    Archive,
    /// The customer wrote.
    CustomerMessage,
    /// The snooze timer fired.
    SnoozeElapsed,
    /// The archive timer fired.
    ArchiveElapsed,
}

/// The answer to a [`Command`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to store, no event. The message of a [`Command::CustomerMessage`] is appended all the same.
    Unchanged,
    /// Store this.
    Changed(Change),
    /// The conversation stays archived; the customer's message opens a new one for the same contact.
    NewConversation,
}

/// What to store. From it follow the timers and events that the methods name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The status before.
    pub from: Status,
    /// The status to store; equal to `from` when only the end of a snooze moved.
    pub to: Status,
    /// The end of the snooze to store; `None` clears it and its timer.
    pub snoozed_until: Option<Micros>,
    /// The engagement to store; `None` keeps it.
    pub engagement: Option<Engagement>,
}

impl Change {
    /// It became done: set `done_at`, start the archive timer, switch AI handling off, emit `conversation.resolved`.
    pub const fn resolved(&self) -> bool {
        matches!(self.to, Status::Done) && !matches!(self.from, Status::Done)
    }

    /// It was closed and is worked on again: count `reopen_count` up and emit `conversation.reopened`. AI stays off.
    pub const fn reopened(&self) -> bool {
        matches!(self.from, Status::Done | Status::Archived) && matches!(self.to, Status::Active)
    }

    /// It is no longer closed: clear `done_at` and `archived_at`. Archiving a done conversation keeps `done_at`.
    pub const fn clears_closing(&self) -> bool {
        matches!(self.from, Status::Done | Status::Archived) && matches!(self.to, Status::Active | Status::Snoozed)
    }

    /// The archive timer stops; the next Done starts it from zero.
    pub const fn stops_archive_timer(&self) -> bool {
        matches!(self.from, Status::Done) && !matches!(self.to, Status::Done)
    }

    /// It became archived: set `archived_at`.
    pub const fn archived(&self) -> bool {
        matches!(self.to, Status::Archived) && !matches!(self.from, Status::Archived)
    }
}

/// What follows from a command in the present state.
///
/// Errors: conflict `invalid_transition` for whatever would take a conversation out of archived, except a customer's
/// message; invalid field `/snoozedUntil` for a snooze without a future end.
pub fn transition(current: Current, command: Command, now: Micros) -> Result<Outcome> {
    use Status::{Active, Archived, Done, Snoozed};
    let from = current.status;
    let to = |to| Outcome::Changed(Change { from, to, snoozed_until: None, engagement: None });
    let pending = Outcome::Changed(Change {
        from,
        to: Active,
        snoozed_until: None,
        engagement: Some(Engagement::Pending), // the customer waits again
    });

    Ok(match (from, command) {
        // A timer that comes late finds a conversation that moved on: that is no error, and archived stays locked.
        (Snoozed, Command::SnoozeElapsed) if current.snoozed_until.is_none_or(|until| until <= now) => to(Active),
        (_, Command::SnoozeElapsed) => Outcome::Unchanged,
        (Done, Command::ArchiveElapsed) => to(Archived),
        (_, Command::ArchiveElapsed) => Outcome::Unchanged,

        (Active, Command::CustomerMessage) => Outcome::Unchanged,
        (Snoozed | Done, Command::CustomerMessage) => pending,
        // Bridges of API inboxes cache the conversation's number; elsewhere archived is for good.
        (Archived, Command::CustomerMessage) if current.channel == Channel::Api => pending,
        (Archived, Command::CustomerMessage) => Outcome::NewConversation,

        (Active, Command::Activate) | (Done, Command::Finish) | (Archived, Command::Archive) => Outcome::Unchanged,
        (Archived, _) => {
            return Err(Error::conflict(
                "invalid_transition",
                "The conversation is archived, and archived conversations stay as they are.",
            ));
        }
        (_, Command::Snooze { until }) => {
            let until = until.filter(|until| *until > now).ok_or_else(|| {
                Error::field("/snoozedUntil", "must_be_future", "Give a time in the future at which the snooze ends.")
            })?;
            if from == Snoozed && current.snoozed_until == Some(until) {
                Outcome::Unchanged
            } else {
                Outcome::Changed(Change { from, to: Snoozed, snoozed_until: Some(until), engagement: None })
            }
        }
        (_, Command::Activate) => to(Active),
        (_, Command::Finish) => to(Done),
        (_, Command::Archive) => to(Archived),
    })
}

/// Who owes a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engagement {
    /// We do.
    Pending,
    /// The customer has our answer.
    Engaged,
}

impl Engagement {
    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Engagement::Pending => "pending",
            Engagement::Engaged => "engaged",
        }
    }

    /// The engagement of a word; `None` for any other text.
    pub fn from_text(text: &str) -> Option<Engagement> {
        [Engagement::Pending, Engagement::Engaged].into_iter().find(|engagement| engagement.as_str() == text)
    }

    /// The engagement of a timeline walked from newest to oldest: the first decisive moment decides. `None` when there is
    /// none, as in a conversation without messages (contract D3.3).
    pub fn of(newest_first: impl IntoIterator<Item = Moment>) -> Option<Engagement> {
        newest_first.into_iter().find_map(Moment::decides)
    }
}

impl fmt::Display for Engagement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One entry of a conversation's timeline, as far as engagement cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A message, note or notice.
    Said(Direction, AuthorType),
    /// An AI gave the conversation to people.
    Handover,
    /// Assigned to a person or team. It changes nothing by itself: were the customer's message the last real one, the walk
    /// arrives there (contract D5.9).
    Assigned,
}

impl Moment {
    /// The engagement after this moment; `None` when it decides nothing. An AI's and a rule's messages are automatic
    /// replies: they are skipped, and the customer still waits for one of us (contract B1).
    pub const fn decides(self) -> Option<Engagement> {
        match self {
            Moment::Said(Direction::Inbound, _) | Moment::Handover => Some(Engagement::Pending),
            Moment::Said(Direction::Outbound, AuthorType::Agent) => Some(Engagement::Engaged),
            Moment::Said(..) | Moment::Assigned => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use proptest::prelude::*;

    const NOW: Micros = Micros(1_000_000);
    const LATER: Micros = Micros(1_000_001);

    fn at(status: Status, channel: Channel) -> Current {
        Current { status, snoozed_until: (status == Status::Snoozed).then_some(NOW), channel }
    }

    /// One word per answer, so that the table below reads like the contract's.
    fn answer(status: Status, command: Command, channel: Channel) -> String {
        match transition(at(status, channel), command, NOW) {
            Ok(Outcome::Unchanged) => "-".to_owned(),
            Ok(Outcome::NewConversation) => "new".to_owned(),
            Ok(Outcome::Changed(change)) => {
                assert_eq!(change.from, status);
                assert_eq!(change.snoozed_until, (change.to == Status::Snoozed).then_some(LATER));
                let pending = if change.engagement == Some(Engagement::Pending) { "+pending" } else { "" };
                let reopened = if change.reopened() { "+reopened" } else { "" };
                let resolved = if change.resolved() { "+resolved" } else { "" };
                format!("{}{pending}{reopened}{resolved}", change.to)
            }
            Err(error) => error.code.to_owned(),
        }
    }

    #[test]
    fn every_status_answers_every_command() {
        let locked = "invalid_transition";
        let table = [
            // command, then the answer from active, snoozed, done, archived
            (Command::Activate, ["-", "active", "active+reopened", locked]),
            (Command::Snooze { until: Some(LATER) }, ["snoozed", "snoozed", "snoozed", locked]),
            (
                Command::Snooze { until: Some(NOW) },
                ["validation_error", "validation_error", "validation_error", locked],
            ),
            (Command::Snooze { until: None }, ["validation_error", "validation_error", "validation_error", locked]),
            (Command::Finish, ["done+resolved", "done+resolved", "-", locked]),
            (Command::Archive, ["archived", "archived", "archived", "-"]),
            (Command::CustomerMessage, ["-", "active+pending", "active+pending+reopened", "new"]),
            (Command::SnoozeElapsed, ["-", "active", "-", "-"]),
            (Command::ArchiveElapsed, ["-", "-", "archived", "-"]),
        ];
        for (command, answers) in table {
            for (status, expected) in Status::ALL.into_iter().zip(answers) {
                for channel in Channel::ALL {
                    let reopens =
                        channel == Channel::Api && status == Status::Archived && command == Command::CustomerMessage;
                    let expected = if reopens { "active+pending+reopened" } else { expected };
                    assert_eq!(answer(status, command, channel), expected, "{command:?} on {status} in {channel}");
                }
            }
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let archived = transition(at(Status::Archived, Channel::Email), Command::Activate, NOW).unwrap_err();
        assert_eq!((archived.kind, archived.code), (Kind::Conflict, "invalid_transition"));
        let past =
            transition(at(Status::Active, Channel::Email), Command::Snooze { until: Some(NOW) }, NOW).unwrap_err();
        assert_eq!((past.kind, past.fields[0].pointer.as_str()), (Kind::Invalid, "/snoozedUntil"));
    }

    #[test]
    fn a_snooze_can_be_moved_and_its_old_timer_does_nothing() {
        let asleep = Current { status: Status::Snoozed, snoozed_until: Some(LATER), channel: Channel::Email };
        let same = transition(asleep, Command::Snooze { until: Some(LATER) }, NOW);
        assert_eq!(same.unwrap(), Outcome::Unchanged);
        let further = Micros(LATER.0 + 1);
        let Outcome::Changed(moved) = transition(asleep, Command::Snooze { until: Some(further) }, NOW).unwrap() else {
            panic!("moving a snooze is a change");
        };
        assert_eq!((moved.to, moved.snoozed_until, moved.reopened()), (Status::Snoozed, Some(further), false));
        assert_eq!(transition(asleep, Command::SnoozeElapsed, NOW).unwrap(), Outcome::Unchanged);
    }

    #[test]
    fn closing_marks_follow_the_change() {
        let change = |from, to| Change { from, to, snoozed_until: None, engagement: None };
        use Status::{Active, Archived, Done, Snoozed};
        for (from, to, clears, stops, archived) in [
            (Active, Done, false, false, false),
            (Done, Active, true, true, false),
            (Done, Snoozed, true, true, false),
            (Done, Archived, false, true, true),
            (Archived, Active, true, false, false),
            (Active, Archived, false, false, true),
            (Snoozed, Snoozed, false, false, false),
        ] {
            let c = change(from, to);
            assert_eq!(
                (c.clears_closing(), c.stops_archive_timer(), c.archived()),
                (clears, stops, archived),
                "{from} to {to}"
            );
        }
    }

    #[test]
    fn words_survive_storage() {
        for status in Status::ALL {
            assert_eq!(Status::from_text(status.as_str()), Some(status));
        }
        assert_eq!(Status::ALL.map(Status::as_str).join(" "), "active snoozed done archived");
        for engagement in [Engagement::Pending, Engagement::Engaged] {
            assert_eq!(Engagement::from_text(engagement.as_str()), Some(engagement));
        }
        assert_eq!((Status::from_text("Done"), Engagement::from_text("")), (None, None));
    }

    #[test]
    fn the_newest_decisive_moment_decides() {
        use AuthorType::{Agent, Ai, Automation, Contact, System};
        use Engagement::{Engaged, Pending};
        let customer = Moment::Said(Direction::Inbound, Contact);
        let agent = Moment::Said(Direction::Outbound, Agent);
        let note = Moment::Said(Direction::Note, Agent);
        let ai = Moment::Said(Direction::Outbound, Ai);
        let auto = Moment::Said(Direction::Outbound, Automation);
        let notice = Moment::Said(Direction::Activity, System);
        for (newest_first, expected) in [
            (vec![], None),
            (vec![note, auto, notice], None),
            (vec![customer], Some(Pending)),
            (vec![agent, customer], Some(Engaged)),
            (vec![note, notice, auto, ai, agent, customer], Some(Engaged)),
            (vec![ai, customer], Some(Pending)),
            (vec![Moment::Handover, agent, customer], Some(Pending)),
            (vec![Moment::Assigned, customer, agent], Some(Pending)),
            (vec![Moment::Assigned, agent, customer], Some(Engaged)),
            (vec![customer, agent], Some(Pending)),
        ] {
            assert_eq!(Engagement::of(newest_first.iter().copied()), expected, "{newest_first:?}");
        }
    }

    proptest! {
        /// Whatever happens, archived is left only by a customer's message in an API inbox.
        #[test]
        fn archived_is_for_good(commands in prop::collection::vec(0..7usize, 1..20), api in any::<bool>()) {
            let channel = if api { Channel::Api } else { Channel::Email };
            let mut state = at(Status::Active, channel);
            for index in commands {
                let command = [
                    Command::Activate,
                    Command::Snooze { until: Some(LATER) },
                    Command::Finish,
                    Command::Archive,
                    Command::CustomerMessage,
                    Command::SnoozeElapsed,
                    Command::ArchiveElapsed,
                ][index];
                if let Ok(Outcome::Changed(change)) = transition(state, command, NOW) {
                    if state.status == Status::Archived {
                        prop_assert!(api && command == Command::CustomerMessage);
                    }
                    prop_assert_eq!(change.snoozed_until.is_some(), change.to == Status::Snoozed);
                    state.status = change.to;
                    state.snoozed_until = change.snoozed_until;
                }
            }
        }
    }
}
