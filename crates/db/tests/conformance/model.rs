//! Whatever meets in a group, what is committed is what some order of the commands, one after the other, would have left,
//! and an order that nobody can tell from the one in which they were asked for.
//!
//! Each command takes the next number of a counter in its own transaction, so the numbers are the order. A run replays the
//! committed ones in that order on a plain map.

use crate::support::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use tieline_db::{Db, Error, Keys, Many, Param, SetVerb, Tx, Ty};

const KEYS: i64 = 4;

#[test]
fn sqlite() {
    interleavings(&Place::sqlite(), 1, 60);
}

#[test]
fn postgres_with_one_writer() {
    interleavings(&Place::postgres(), 1, 20);
}

#[test]
fn postgres_with_several_writers() {
    interleavings(&Place::postgres(), 4, 30);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Through the set verb: add, and answer the amount after.
    Add(i64, i64),
    /// Through the set verb: refuse as a value, leaving no trace.
    Refuse(i64),
    /// Through the set verb: fail the whole call.
    Break(i64),
    /// A closure: double, and answer the amount after.
    Double(i64),
    /// A closure: take the item away, and answer the amount it had.
    Remove(i64),
    /// A closure: add, then refuse.
    AddAndRefuse(i64, i64),
    /// A closure: add, then break.
    AddAndBreak(i64, i64),
    /// A closure: add, then panic.
    AddAndPanic(i64, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let (key, amount) = (0..KEYS, 1..9i64);
    prop_oneof![
        6 => (key.clone(), amount.clone()).prop_map(|(key, amount)| Step::Add(key, amount)),
        1 => key.clone().prop_map(Step::Refuse),
        1 => key.clone().prop_map(Step::Break),
        3 => key.clone().prop_map(Step::Double),
        2 => key.clone().prop_map(Step::Remove),
        1 => (key.clone(), amount.clone()).prop_map(|(key, amount)| Step::AddAndRefuse(key, amount)),
        1 => (key.clone(), amount.clone()).prop_map(|(key, amount)| Step::AddAndBreak(key, amount)),
        1 => (key, amount).prop_map(|(key, amount)| Step::AddAndPanic(key, amount)),
    ]
}

/// The number taken and the amount answered.
type Answer = Result<(i64, Option<i64>), Refusal>;

/// Takes `count` numbers; the last of them.
fn number(tx: &mut Tx, count: i64) -> Result<i64, Error> {
    let sql = "update counter set n = n + $1 where id = 0 returning n";
    tx.opt(sql, &[count.into()], |row| row.get(0))?.ok_or(Error::Sql("no counter".into()))
}

fn add(tx: &mut Tx, key: i64, amount: i64) -> Result<i64, Error> {
    let sql = "insert into item (id, amount) values ($1, $2) \
               on conflict (id) do update set amount = item.amount + excluded.amount returning amount";
    Ok(tx.opt(sql, &[key.into(), amount.into()], |row| row.get(0))?.expect("a row"))
}

struct Verb;

static ADD: Many = Many::new(
    "insert into item (id, amount) values (:id, :amount) \
     on conflict (id) do update set amount = item.amount + excluded.amount returning id, amount",
    &[("id", Ty::Int), ("amount", Ty::Int)],
);

impl SetVerb for Verb {
    type Command = Step;
    type Outcome = (i64, Option<i64>);
    type Error = Refusal;
    fn keys(command: &Step, keys: &mut Keys) {
        if let Step::Add(key, _) | Step::Refuse(key) | Step::Break(key) = command {
            keys.add(key);
        }
    }
    fn run(tx: &mut Tx, commands: &[&Step]) -> Result<Vec<Answer>, Error> {
        let mut next = number(tx, commands.len() as i64)? - commands.len() as i64;
        let mut params = Vec::new();
        for command in commands {
            if let Step::Add(key, amount) = command {
                params.extend([Param::Int(*key), Param::Int(*amount)]);
            }
        }
        let mut amounts = HashMap::new();
        tx.many(&ADD, &params, |row| {
            amounts.insert(row.get::<i64>(0)?, row.get::<i64>(1)?);
            Ok(())
        })?;
        if commands.iter().any(|command| matches!(command, Step::Break(_))) {
            tx.execute("update nowhere set id = 1", &[])?;
        }
        let answers = commands.iter().map(|command| {
            next += 1;
            match command {
                Step::Add(key, _) => Ok((next, amounts.get(key).copied())),
                _ => Err(Refusal::No),
            }
        });
        Ok(answers.collect())
    }
}

fn submit(db: &Db, step: Step) -> Queued<Answer> {
    let db = db.clone();
    match step {
        Step::Add(..) | Step::Refuse(_) | Step::Break(_) => queue(async move { db.submit::<Verb>(step).await }),
        step => queue(async move { db.write(move |tx| closure(tx, step)).await }),
    }
}

fn closure(tx: &mut Tx, step: Step) -> Answer {
    let number = number(tx, 1)?;
    let after = match step {
        Step::Double(key) => {
            let sql = "update item set amount = amount * 2 where id = $1 returning amount";
            tx.opt(sql, &[key.into()], |row| row.get(0))?
        }
        Step::Remove(key) => {
            tx.opt("delete from item where id = $1 returning amount", &[key.into()], |row| row.get(0))?
        }
        Step::AddAndRefuse(key, amount) => {
            add(tx, key, amount)?;
            return Err(Refusal::No);
        }
        Step::AddAndBreak(key, amount) => {
            add(tx, key, amount)?;
            tx.execute("insert into item (id) values ($1)", &[key.into()])?;
            None
        }
        Step::AddAndPanic(key, amount) => {
            add(tx, key, amount)?;
            panic!("as drawn");
        }
        Step::Add(..) | Step::Refuse(_) | Step::Break(_) => unreachable!("these are the verb's"),
    };
    Ok((number, after))
}

/// What the step does to a plain map; the amount it answers, or nothing if it is one that refuses.
fn replay(items: &mut BTreeMap<i64, i64>, step: Step) -> Option<Option<i64>> {
    match step {
        Step::Add(key, amount) => {
            let item = items.entry(key).or_default();
            *item += amount;
            Some(Some(*item))
        }
        Step::Double(key) => Some(items.get_mut(&key).map(|item| {
            *item *= 2;
            *item
        })),
        Step::Remove(key) => Some(items.remove(&key)),
        _ => None,
    }
}

fn interleavings(place: &Place, writers: usize, cases: u32) {
    let mut config = place.config(SCHEMA);
    (config.limits.writers, config.limits.group) = (writers, 7);
    let db = Db::open(config).unwrap();
    // Panics are drawn on purpose: their messages would hide the one that matters.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some("as drawn") {
            hook(panic);
        }
    }));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let batches = prop::collection::vec(prop::collection::vec(step(), 1..24), 1..4);
    proptest!(config, |(batches in batches)| one_run(&db, writers, batches)?);
}

fn one_run(db: &Db, writers: usize, batches: Vec<Vec<Step>>) -> Result<(), TestCaseError> {
    run(db, |tx| {
        tx.execute("delete from item", &[])?;
        tx.execute("delete from counter", &[])?;
        tx.execute("insert into counter (id, n) values (0, 0)", &[])
    })
    .unwrap();
    let mut model = BTreeMap::new();
    let mut last = 0;
    for batch in batches {
        // Several writers take what comes; one is held, so that the whole batch is there when it looks.
        let held = (writers == 1).then(|| hold(db));
        let calls: Vec<_> = batch.iter().map(|step| submit(db, *step)).collect();
        if let Some(held) = held {
            held.release();
        }
        let mut committed = Vec::new();
        for (step, call) in batch.iter().zip(calls) {
            let answer = wait(call);
            let expected = match step {
                Step::Add(..) | Step::Double(_) | Step::Remove(_) => answer.is_ok(),
                Step::Refuse(_) | Step::AddAndRefuse(..) => matches!(answer, Err(Refusal::No)),
                Step::Break(_) => matches!(answer, Err(Refusal::Engine(Error::Sql(_)))),
                Step::AddAndBreak(..) => matches!(answer, Err(Refusal::Engine(Error::Constraint(_)))),
                Step::AddAndPanic(..) => matches!(answer, Err(Refusal::Engine(Error::Panicked(_)))),
            };
            prop_assert!(expected, "{step:?}: {answer:?}");
            committed.extend(answer.ok().map(|(number, amount)| (number, *step, amount)));
        }
        if writers == 1 {
            // Commands of one key keep their order.
            for key in 0..KEYS {
                let of_key = |step: &Step| matches!(step, Step::Add(of, _) if *of == key);
                let numbers: Vec<i64> =
                    committed.iter().filter(|(_, step, _)| of_key(step)).map(|(number, ..)| *number).collect();
                prop_assert!(numbers.is_sorted(), "{numbers:?}");
            }
        }
        committed.sort_by_key(|(number, ..)| *number);
        for (number, step, amount) in committed {
            prop_assert!(number > last, "{number} after {last}: a number taken twice, or a batch before its time");
            last = number;
            prop_assert_eq!(replay(&mut model, step), Some(amount), "{:?} as number {}", step, number);
        }
        let there = read(db, |read| {
            read.all("select id, amount from item order by id", &[], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)))
        });
        prop_assert_eq!(there.unwrap(), model.clone().into_iter().collect::<Vec<_>>());
    }
    Ok(())
}
