//! The queue against a model of the database in front of it: whatever is loaded, tried, recorded and asked for, in whatever
//! order, the rules hold at every start and nothing stays behind.

use super::*;
use crate::client::{ErrorKind, Failure};
use proptest::prelude::*;
use std::time::Duration;
use tieline_core::deliveries::Claimed;
use tieline_core::ids::EventId;
use uuid::Uuid;

const SECOND: i64 = 1_000_000;
const NOW: i64 = 1_000_000 * SECOND;
const MAX: i64 = 6;

fn rules() -> Rules {
    Rules { schedule: RetrySchedule::parse("1s,2s,4s,8s,16s").unwrap(), health: HealthRules::default() }
}
fn queue() -> Queue {
    Queue::new(
        &Claimed {
            endpoint: EndpointId::from_uuid(Uuid::from_u128(1)),
            tenant: TenantId(1),
            epoch: 1,
            health: HealthRow::default(),
        },
        MAX,
    )
}
fn conversation(number: u8) -> ConversationId {
    ConversationId::from_uuid(Uuid::from_u128(1000 + u128::from(number)))
}
fn waiting(position: i64, of: Option<u8>) -> Waiting {
    Waiting {
        id: DeliveryId::from_uuid(Uuid::from_u128(1_000_000 + position as u128)),
        position,
        event: EventId::from_uuid(Uuid::from_u128(position as u128)),
        event_type: "message.received".into(),
        conversation: of.map(conversation),
        attempts: 0,
        earlier_attempts: 0,
        overtaken: false,
        due_at: NOW,
        body: "{}".into(),
    }
}
fn answered(status: u16) -> Outcome {
    Outcome { status: Some(status), ..Outcome::default() }
}

/// A queue with its endpoint: starts what may start, and says which positions were.
struct Bench {
    queue: Queue,
    now: i64,
}

impl Bench {
    fn with(rows: Vec<Waiting>) -> Bench {
        let mut queue = queue();
        queue.load(rows);
        Bench { queue, now: NOW }
    }
    fn starts(&mut self) -> Vec<i64> {
        std::iter::from_fn(|| self.queue.next(self.now)).map(|start| start.delivery.position).collect()
    }
    fn end(&mut self, position: i64, status: u16) -> Attempt {
        let id = waiting(position, None).id;
        self.queue.finished(id, self.now, &answered(status), self.now, &rules()).expect("in flight")
    }
    /// Ends and records.
    fn ends(&mut self, position: i64, status: u16) -> Ended {
        let attempt = self.end(position, status);
        self.queue.recorded(attempt.delivery, attempt.ended);
        attempt.ended
    }
    fn sleep(&mut self, seconds: i64) {
        self.now += seconds * SECOND;
    }
}

#[test]
fn a_conversation_goes_one_by_one_and_only_after_the_record() {
    let mut bench = Bench::with(vec![waiting(1, Some(1)), waiting(2, Some(1)), waiting(3, Some(2)), waiting(4, None)]);
    assert_eq!(bench.starts(), [1, 3, 4]);
    let attempt = bench.end(1, 200);
    assert_eq!(bench.starts(), [0i64; 0], "accepted, but not recorded yet");
    bench.queue.recorded(attempt.delivery, attempt.ended);
    assert_eq!(bench.starts(), [2]);
}

#[test]
fn sixteen_slots_one_after_a_failure_doubled_by_each_success() {
    let mut bench = Bench::with((1..=60).map(|at| waiting(at, None)).collect());
    let first = bench.starts();
    assert_eq!(first, (1..=16).collect::<Vec<_>>());
    for at in 1..=15 {
        bench.ends(at, 200);
    }
    bench.ends(16, 500);
    assert_eq!(bench.starts(), [17], "one slot after a failure");
    bench.ends(17, 200);
    assert_eq!(bench.starts(), [18, 19]);
    bench.ends(18, 200);
    assert_eq!(bench.starts(), [20, 21, 22], "four slots, one was taken");
    bench.ends(19, 200);
    assert_eq!(bench.starts().len(), 5, "eight slots, three were taken");
}

#[test]
fn a_queue_that_is_taken_over_after_a_failure_begins_with_one_slot() {
    let health = HealthRow { consecutive_failures: 1, first_failure_at: Some(NOW), ..HealthRow::default() };
    let claimed =
        Claimed { endpoint: EndpointId::from_uuid(Uuid::from_u128(1)), tenant: TenantId(1), epoch: 2, health };
    let mut bench = Bench { queue: Queue::new(&claimed, MAX), now: NOW };
    bench.queue.load((1..=5).map(|at| waiting(at, None)).collect());
    assert_eq!(bench.starts(), [1]);
    bench.ends(1, 200);
    assert_eq!(bench.starts(), [2, 3]);
}

#[test]
fn a_poisonous_event_is_overtaken_when_the_endpoint_accepts_others() {
    let mut bench = Bench::with(vec![waiting(1, Some(1)), waiting(2, Some(1)), waiting(3, None)]);
    assert_eq!(bench.starts(), [1, 3]);
    bench.ends(1, 400);
    bench.ends(3, 200);
    for attempt in 2..=4 {
        bench.sleep(20);
        assert_eq!(bench.starts(), [1], "attempt {attempt}: nothing overtakes before");
        bench.ends(1, 400);
    }
    assert_eq!(bench.starts(), [0i64; 0], "its follower was dropped and is read again");
    assert_eq!(bench.queue.take_reloads(), [(conversation(1), (1, waiting(1, None).id))]);
    bench.queue.load_lane(conversation(1), vec![waiting(2, Some(1))], false);
    assert_eq!(bench.starts(), [2]);
    bench.sleep(20);
    bench.ends(2, 200);
    assert_eq!(bench.starts(), [1], "it goes on by itself");
}

#[test]
fn nothing_is_overtaken_while_the_endpoint_accepts_nothing() {
    let mut bench = Bench::with(vec![waiting(1, Some(1)), waiting(2, Some(1))]);
    for attempt in 1..=MAX {
        assert_eq!(bench.starts(), [1], "attempt {attempt}");
        let ended = bench.ends(1, 500);
        assert_eq!(ended == Ended::As(Status::Failed), attempt == MAX);
        bench.sleep(60);
    }
    let reloads = bench.queue.take_reloads();
    assert_eq!(reloads.len(), 1, "the follower goes once the first has failed for good");
    bench.queue.load_lane(conversation(1), vec![waiting(2, Some(1))], false);
    assert_eq!(bench.starts(), [2]);
}

#[test]
fn an_open_breaker_lets_the_oldest_through_and_a_probe_a_minute() {
    let mut rows: Vec<Waiting> = (1..=20).map(|at| waiting(at, None)).collect();
    rows[0].due_at = NOW + 30 * SECOND;
    rows[0].attempts = 2;
    let mut bench = Bench::with(rows);
    for at in 2..=11 {
        // One at a time: the first failure takes the slots away.
        if at == 2 {
            assert_eq!(bench.starts(), (2..=17).collect::<Vec<_>>());
        }
        bench.ends(at, 500);
    }
    for at in 12..=17 {
        bench.ends(at, 500);
    }
    assert_eq!(bench.starts(), [0i64; 0], "the oldest is not due, the probe neither");
    bench.sleep(30);
    let start = bench.queue.next(bench.now).expect("the oldest on its schedule");
    assert_eq!((start.delivery.position, start.number, start.probe), (1, 3, false));
    assert!(start.delivery.body.is_empty(), "what was tried before is read again");
    assert!(bench.queue.next(bench.now).is_none(), "alone");
    let ended = bench.ends(1, 500);
    assert_eq!(bench.starts(), [0i64; 0]);
    bench.sleep(1);
    assert!(matches!(ended, Ended::RetryAt(at) if at > bench.now), "still waits: {ended:?}");
    bench.now = NOW + 59 * SECOND;
    bench.queue.next(bench.now).map(|start| bench.ends(start.delivery.position, 500));
    bench.now = NOW + 60 * SECOND;
    let probe = bench.queue.next(bench.now).expect("a probe");
    assert!(probe.probe && probe.delivery.position == 1);
    let attempt = bench.end(1, 500);
    assert!(!attempt.counted && !attempt.overtaken);
    bench.queue.recorded(attempt.delivery, attempt.ended);
    let again = bench.queue.next_wake().expect("another probe, or the schedule");
    bench.now = again.max(bench.now);
    let start = bench.queue.next(bench.now).expect("wakes when it says");
    let attempt = bench.end(start.delivery.position, 200);
    assert_eq!(attempt.health.next_probe_at, None, "closed");
    bench.queue.recorded(attempt.delivery, attempt.ended);
    assert_eq!(bench.starts(), [2, 3], "everything is due, in order, ramped up");
    bench.ends(2, 200);
    assert_eq!(bench.starts(), [4, 5, 6]);
}

#[test]
fn what_a_person_asks_for_goes_outside_order_breaker_and_slots() {
    let mut bench =
        Bench::with((1..=12).map(|at| waiting(at, None)).chain([waiting(13, Some(1)), waiting(14, Some(1))]).collect());
    for at in bench.starts() {
        bench.ends(at, 500);
    }
    assert_eq!(bench.starts(), [0i64; 0], "open");
    let follower = waiting(14, Some(1));
    let elsewhere = waiting(99, Some(2));
    bench.queue.load_manual(vec![follower.clone(), elsewhere, waiting(3, None), follower]);
    assert_eq!(bench.starts(), [14, 99, 3], "a follower, one that was not held, one that waited for its retry");
    bench.ends(14, 500);
    bench.ends(99, 500);
    assert_eq!(bench.starts(), [0i64; 0], "failed, they wait like the others");
    bench.ends(3, 200);
    assert_eq!(bench.starts(), [1, 2], "closed");
}

#[test]
fn at_most_sixteen_in_flight_whoever_asks() {
    let mut bench = Bench::with((1..=16).map(|at| waiting(at, None)).collect());
    assert_eq!(bench.starts().len(), MAX_SLOTS);
    bench.queue.load_manual(vec![waiting(50, None)]);
    assert_eq!(bench.starts(), [0i64; 0]);
    bench.ends(5, 200);
    assert_eq!(bench.starts(), [50]);
}

#[test]
fn retry_after_and_the_endpoints_own_limit() {
    let mut bench = Bench::with(vec![waiting(1, None)]);
    bench.starts();
    let outcome = Outcome { status: Some(503), retry_after: Some(Duration::from_secs(3600)), ..Outcome::default() };
    let attempt = bench.queue.finished(waiting(1, None).id, bench.now, &outcome, bench.now, &rules()).unwrap();
    assert_eq!(attempt.ended, Ended::RetryAt(NOW + 3600 * SECOND));
    bench.queue.recorded(attempt.delivery, attempt.ended);
    bench.sleep(3599);
    assert_eq!(bench.starts(), [0i64; 0]);
    bench.sleep(1);
    assert_eq!(bench.starts(), [1]);
    bench.queue.set_max_attempts(2);
    assert_eq!(bench.ends(1, 503), Ended::As(Status::Failed));
    assert!(bench.queue.is_empty() && bench.queue.is_quiet());
}

#[test]
fn a_timeout_is_a_failure_with_its_words() {
    let mut bench = Bench::with(vec![waiting(1, None)]);
    bench.starts();
    let failure = Failure { kind: ErrorKind::Timeout, detail: "There was no reply.".into() };
    let outcome = Outcome { error: Some(failure), duration: Duration::from_secs(10), ..Outcome::default() };
    let attempt = bench.queue.finished(waiting(1, None).id, bench.now, &outcome, bench.now, &rules()).unwrap();
    assert_eq!((attempt.number, attempt.duration_us, attempt.counted), (1, 10 * SECOND, true));
    assert_eq!(attempt.error.as_deref(), Some("There was no reply."));
}

#[test]
fn a_long_conversation_is_kept_in_part_and_read_again_in_order() {
    let all: Vec<Waiting> = (1..=300).map(|at| waiting(at, Some(1))).collect();
    let mut bench = Bench::with(all.clone());
    assert!(bench.queue.held <= LANE + 1, "{}", bench.queue.held);
    let mut sent = Vec::new();
    for _ in 0..10_000 {
        for (conversation, after) in bench.queue.take_reloads() {
            let rows: Vec<Waiting> =
                all.iter().filter(|row| (row.position, row.id) > after).take(LANE).cloned().collect();
            let more = rows.len() == LANE;
            bench.queue.load_lane(conversation, rows, more);
        }
        let Some(start) = bench.queue.next(bench.now) else { break };
        sent.push(start.delivery.position);
        bench.ends(start.delivery.position, 200);
    }
    assert_eq!(sent, (1..=300).collect::<Vec<_>>());
    assert!(bench.queue.is_empty() && bench.queue.lanes.is_empty() && bench.queue.is_quiet());
}

#[test]
fn memory_is_bounded_and_what_waits_for_a_retry_takes_no_room() {
    let mut bench = Bench::with(Vec::new());
    assert_eq!(bench.queue.room(), WINDOW);
    bench.queue.load((1..=WINDOW as i64).map(|at| waiting(at, None)).collect());
    assert_eq!(bench.queue.room(), 0);
    assert_eq!(bench.starts().len(), 16);
    bench.ends(1, 400);
    bench.ends(2, 200);
    assert_eq!(bench.queue.room(), 2, "one has gone, one waits without its bytes");
    let tried = |at| Waiting { attempts: 1, due_at: NOW + SECOND, ..waiting(at, None) };
    bench.queue.load((10_000..10_000 + RETRYING as i64).map(tried).collect());
    assert_eq!(bench.queue.room(), 0, "bounded all the same");
}

#[test]
fn an_answer_older_than_what_was_passed_over_loses_nothing() {
    let mut bench = Bench::with((1..=2).map(|at| waiting(at, Some(1))).collect());
    assert_eq!(bench.starts(), [1]);
    bench.ends(1, 500); // drops 2
    bench.sleep(20);
    assert_eq!(bench.starts(), [1]);
    bench.ends(1, 200);
    assert_eq!(bench.queue.take_reloads().len(), 1);
    assert!(!bench.queue.is_quiet(), "not to be given back while a conversation is being read");
    // Read before 3 was there, handed in after 3 had come by.
    bench.queue.load(vec![waiting(3, Some(1))]);
    bench.queue.load_lane(conversation(1), vec![waiting(2, Some(1))], false);
    assert_eq!(bench.starts(), [2]);
    bench.ends(2, 200);
    let reloads = bench.queue.take_reloads();
    assert_eq!(reloads, [(conversation(1), (2, waiting(2, None).id))]);
    bench.queue.load_lane(conversation(1), vec![waiting(3, Some(1))], false);
    assert_eq!(bench.starts(), [3]);
}

#[test]
fn rows_read_before_their_turn_are_taken_once() {
    let mut bench = Bench::with((1..=2).map(|at| waiting(at, Some(1))).collect());
    bench.starts();
    bench.ends(1, 500);
    bench.sleep(20);
    bench.starts();
    bench.ends(1, 200);
    bench.queue.take_reloads();
    // The answer is newer than what has been loaded: 3 to 66 were written meanwhile.
    let rows: Vec<Waiting> = (2..2 + LANE as i64).map(|at| waiting(at, Some(1))).collect();
    bench.queue.load_lane(conversation(1), rows.clone(), true);
    bench.queue.load(rows[1..].to_vec());
    for at in 2..2 + LANE as i64 {
        assert_eq!(bench.starts(), [at]);
        bench.ends(at, 200);
    }
    assert!(bench.queue.is_empty() && bench.queue.is_quiet());
}

#[test]
fn a_page_from_before_the_end_does_not_bring_it_back() {
    let mut bench = Bench::with(Vec::new());
    bench.queue.begin_read();
    bench.queue.load_manual(vec![waiting(1, None)]);
    bench.queue.end_read();
    bench.queue.begin_read();
    bench.starts();
    bench.ends(1, 200);
    bench.queue.load_manual(vec![waiting(1, None)]); // this page was read before the record
    bench.queue.end_read();
    assert_eq!(bench.starts(), [0i64; 0]);
    bench.queue.begin_read();
    bench.queue.load_manual(vec![waiting(1, None)]); // asked for again
    bench.queue.end_read();
    assert_eq!(bench.starts(), [1]);
}

#[test]
fn switched_off_it_forgets_all_but_what_is_in_flight_or_asked_for() {
    let mut bench = Bench::with((1..=30).map(|at| waiting(at, Some((at % 5) as u8))).collect());
    assert_eq!(bench.starts().len(), 5);
    bench.queue.load_manual(vec![waiting(77, None)]);
    bench.queue.forget_waiting();
    assert_eq!(bench.queue.held, 6);
    assert_eq!(bench.starts(), [77]);
    for at in [1, 2, 3, 4, 5, 77] {
        bench.ends(at, 500);
    }
    bench.queue.forget_waiting();
    assert!(bench.queue.is_empty() && bench.queue.is_quiet() && bench.queue.lanes.is_empty());
    bench.sleep(3600);
    assert_eq!(bench.starts(), [0i64; 0]);
    assert_eq!(bench.queue.next_wake(), None);
}

#[test]
fn an_attempt_that_could_not_be_made_counts_nothing() {
    let mut bench = Bench::with(vec![waiting(1, Some(1)), waiting(2, Some(1))]);
    bench.starts();
    let id = waiting(1, None).id;
    bench.queue.put_back(id, NOW + SECOND);
    assert_eq!(bench.starts(), [0i64; 0]);
    bench.sleep(1);
    let start = bench.queue.next(bench.now).unwrap();
    assert_eq!((start.delivery.position, start.number), (1, 1));
    bench.queue.withdraw(id);
    assert_eq!(bench.starts(), [2], "what nobody waits for holds up nobody");
}

// ---- the model ----

#[derive(Clone, Debug)]
struct Row {
    waiting: Waiting,
    manual: bool,
    ended: Option<Status>,
    first_failed_at: Option<i64>,
    in_flight: bool,
}

#[derive(Clone, Debug)]
enum Op {
    Add(Option<u8>),
    AskFor(usize),
    /// Begins to read a page of at most this many rows.
    Read(usize),
    /// Hands in the oldest page or conversation that was read.
    HandIn(bool),
    Start,
    End(usize, u16),
    Record,
    Sleep(i64),
}

struct Model {
    rows: Vec<Row>,
    queue: Queue,
    now: i64,
    page: Option<(Vec<Waiting>, Vec<Waiting>)>,
    lanes: VecDeque<(ConversationId, Vec<Waiting>, bool)>,
    unrecorded: VecDeque<Attempt>,
    last_success: Option<i64>,
    last_failed: bool,
    open: bool,
    last_probe: i64,
}

impl Model {
    fn new() -> Model {
        Model {
            rows: Vec::new(),
            queue: queue(),
            now: NOW,
            page: None,
            lanes: VecDeque::new(),
            unrecorded: VecDeque::new(),
            last_success: None,
            last_failed: false,
            open: false,
            last_probe: 0,
        }
    }
    fn pending(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.ended.is_none())
    }
    fn in_flight(&self) -> usize {
        self.rows.iter().filter(|row| row.in_flight).count()
    }
    fn reading(&self, row: &Row) -> bool {
        row.waiting.conversation.is_some_and(|id| self.queue.reloading.contains(&id))
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Add(of) => {
                let mut row = waiting(self.rows.len() as i64 + 1, *of);
                row.due_at = self.now;
                self.rows.push(Row {
                    waiting: row,
                    manual: false,
                    ended: None,
                    first_failed_at: None,
                    in_flight: false,
                });
            }
            Op::AskFor(which) => {
                if self.rows.is_empty() {
                    return;
                }
                let which = which % self.rows.len();
                // As the verb does: not what is being sent, nor what was sent and waits for its record.
                let id = self.rows[which].waiting.id;
                if !self.rows[which].in_flight && self.unrecorded.iter().all(|attempt| attempt.delivery != id) {
                    let row = &mut self.rows[which];
                    row.manual = true;
                    row.ended = None;
                    row.waiting.due_at = self.now;
                }
            }
            Op::Read(limit) => {
                if self.page.is_none() {
                    self.queue.begin_read();
                    let limit = (*limit).min(self.queue.room());
                    let seen = self.queue.seen();
                    let place = |row: &Row| (row.waiting.position, row.waiting.id);
                    let rows = self.pending().filter(|row| !row.manual && place(row) > seen).take(limit);
                    let rows = rows.map(|row| row.waiting.clone()).collect();
                    let manual = self.pending().filter(|row| row.manual).map(|row| row.waiting.clone()).collect();
                    self.page = Some((manual, rows));
                }
                for (id, after) in self.queue.take_reloads() {
                    self.queue.begin_read();
                    let of = |row: &&Row| {
                        !row.manual
                            && row.waiting.conversation == Some(id)
                            && (row.waiting.position, row.waiting.id) > after
                    };
                    let rows: Vec<Waiting> = self.pending().filter(of).take(3).map(|row| row.waiting.clone()).collect();
                    let more = rows.len() == 3;
                    self.lanes.push_back((id, rows, more));
                }
            }
            Op::HandIn(page) => {
                if *page && let Some((manual, rows)) = self.page.take() {
                    self.queue.load_manual(manual);
                    self.queue.load(rows);
                    self.queue.end_read();
                } else if let Some((id, rows, more)) = self.lanes.pop_front() {
                    self.queue.load_lane(id, rows, more);
                    self.queue.end_read();
                }
            }
            Op::Start => self.start(),
            Op::End(which, status) => {
                let flying: Vec<usize> = (0..self.rows.len()).filter(|at| self.rows[*at].in_flight).collect();
                if !flying.is_empty() {
                    self.end(flying[which % flying.len()], *status);
                }
            }
            Op::Record => {
                let Some(attempt) = self.unrecorded.pop_front() else { return };
                let row = self.rows.iter_mut().find(|row| row.waiting.id == attempt.delivery).unwrap();
                if attempt.counted {
                    row.manual = false;
                    row.waiting.attempts = attempt.number;
                    row.waiting.overtaken = attempt.overtaken;
                    match attempt.ended {
                        Ended::As(status) => row.ended = Some(status),
                        Ended::RetryAt(at) => row.waiting.due_at = at,
                    }
                }
                self.queue.recorded(attempt.delivery, attempt.ended);
            }
            Op::Sleep(micros) => self.now += micros,
        }
    }

    fn start(&mut self) {
        let (flying, unrecorded) = (self.in_flight(), self.unrecorded.len());
        let seen = self.queue.seen();
        let Some(start) = self.queue.next(self.now) else { return };
        let at = self.rows.iter().position(|row| row.waiting.id == start.delivery.id).expect("a row");
        let row = &self.rows[at];
        assert!(row.ended.is_none(), "{start:?} has ended");
        assert!(!row.in_flight, "{start:?} is in flight");
        assert!(self.unrecorded.iter().all(|attempt| attempt.delivery != row.waiting.id), "{start:?} is not recorded");
        assert_eq!(start.number, row.waiting.attempts + 1);
        assert!(flying < MAX_SLOTS);
        if !row.manual {
            assert!(start.number <= MAX, "attempt {}", start.number);
            assert!(start.probe || row.waiting.due_at <= self.now, "{start:?} is not due");
            assert!(!self.last_failed || flying == 0, "one at a time after a failure");
            let before = |other: &&Row| {
                other.waiting.conversation.is_some()
                    && other.waiting.conversation == row.waiting.conversation
                    && other.waiting.position < row.waiting.position
                    && !other.waiting.overtaken
                    && !other.manual
            };
            let earlier = self.pending().find(before);
            assert!(row.waiting.overtaken || earlier.is_none(), "{start:?} before {earlier:?}");
            if self.open {
                assert_eq!((flying, unrecorded), (0, 0), "alone while the breaker is open");
                let known = |other: &&Row| {
                    (other.waiting.position, other.waiting.id) <= seen && !other.manual && !self.reading(other)
                };
                let oldest = self.pending().filter(known).map(|other| other.waiting.position).min();
                assert!(oldest.is_none_or(|oldest| oldest >= row.waiting.position), "{oldest:?} before {start:?}");
            }
            assert!(!start.probe || (self.open && self.now >= self.last_probe + 60 * SECOND), "{start:?}");
        }
        self.rows[at].in_flight = true;
    }

    fn end(&mut self, at: usize, status: u16) {
        let id = self.rows[at].waiting.id;
        let attempt = self.queue.finished(id, self.now, &answered(status), self.now, &rules()).expect("in flight");
        let row = &mut self.rows[at];
        row.in_flight = false;
        let success = status == 200;
        let accepted_other = row.first_failed_at.is_some_and(|first| self.last_success.is_some_and(|s| s >= first));
        let poison = attempt.counted && !success && attempt.number >= POISON_ATTEMPTS && accepted_other;
        if !row.manual {
            assert_eq!(attempt.overtaken, row.waiting.overtaken || poison, "{attempt:?}");
        }
        assert_eq!(attempt.ended == Ended::As(Status::Succeeded), success);
        if success {
            self.last_success = Some(self.now);
        } else {
            row.first_failed_at.get_or_insert(self.now);
            if !attempt.counted {
                self.last_probe = self.now;
            }
        }
        self.last_failed = !success;
        match (self.open, attempt.health.next_probe_at.is_some()) {
            (false, true) => (self.open, self.last_probe) = (true, self.now),
            (true, false) => {
                self.open = false;
                for row in self.rows.iter_mut().filter(|row| row.ended.is_none() && !row.in_flight) {
                    row.waiting.due_at = row.waiting.due_at.min(self.now);
                }
            }
            _ => {}
        }
        self.unrecorded.push_back(attempt);
    }

    /// The endpoint recovers; everything must end.
    fn drain(&mut self) {
        for _ in 0..self.rows.len() * 20 + 200 {
            self.run(&Op::HandIn(true));
            self.run(&Op::HandIn(false));
            self.run(&Op::Read(5));
            self.start();
            self.run(&Op::End(0, 200));
            self.run(&Op::Record);
            if self.pending().next().is_none() {
                break;
            }
            self.now += SECOND;
        }
        for _ in 0..10 {
            self.run(&Op::HandIn(true));
            self.run(&Op::HandIn(false));
            self.run(&Op::Read(5));
        }
        self.run(&Op::HandIn(true));
        let stuck: Vec<&Row> = self.pending().collect();
        assert!(stuck.is_empty(), "stuck: {stuck:?}\n{:?}", self.queue);
        assert!(self.queue.is_empty() && self.queue.is_quiet(), "{:?}", self.queue);
        assert!(self.queue.waiting.is_empty() && self.queue.keys.is_empty(), "{:?}", self.queue);
        assert_eq!(self.queue.light, 0);
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop_oneof![3 => (0..3u8).prop_map(Some), 1 => Just(None)].prop_map(Op::Add),
        1 => (0..64usize).prop_map(Op::AskFor),
        4 => (1..8usize).prop_map(Op::Read),
        4 => any::<bool>().prop_map(Op::HandIn),
        8 => Just(Op::Start),
        6 => (0..16usize, prop_oneof![3 => Just(200u16), 3 => Just(500), 1 => Just(404)]).prop_map(|(which, status)| Op::End(which, status)),
        6 => Just(Op::Record),
        3 => prop_oneof![Just(SECOND / 2), Just(3 * SECOND), Just(61 * SECOND)].prop_map(Op::Sleep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_rules_hold_and_everything_ends(ops in proptest::collection::vec(op(), 1..250)) {
        let mut model = Model::new();
        for op in &ops {
            model.run(op);
        }
        model.drain();
    }
}
