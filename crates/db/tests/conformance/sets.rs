//! Commands that run together do not share their fate either, and never meet over one row.

use crate::support::*;
use std::sync::Arc;
use tieline_db::{Db, Error, Keys, Many, SetVerb, Tx, Ty};

on_both!(
    queued_commands_run_as_one_call,
    commands_that_share_a_key_meet_in_no_call,
    a_refusal_is_a_value,
    a_bad_command_fails_alone,
    a_verb_answers_every_command,
    closures_and_commands_share_a_group,
);

/// What a command wants to come of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wish {
    Add,
    Refuse,
    BreakSql,
    Panic,
    /// The verb forgets an answer.
    Forget,
}

/// Adds to an item, which is made if need be.
pub struct Add {
    pub id: i64,
    pub amount: i64,
    pub wish: Wish,
    /// The ids of each call that got as far as its statement.
    pub calls: Seen<Vec<i64>>,
}

static ADD: Many = Many::new(
    "insert into item (id, amount) values (:id, :amount) \
     on conflict (id) do update set amount = item.amount + excluded.amount returning id, amount",
    &[("id", Ty::Int), ("amount", Ty::Int)],
);

impl SetVerb for Add {
    type Command = Add;
    type Outcome = i64;
    type Error = Refusal;
    fn keys(command: &Add, keys: &mut Keys) {
        keys.add(("item", command.id));
    }
    fn run(tx: &mut Tx, commands: &[&Add]) -> Result<Vec<Result<i64, Refusal>>, Error> {
        commands[0].calls.lock().unwrap().push(commands.iter().map(|command| command.id).collect());
        let wanted: Vec<_> = commands.iter().filter(|command| command.wish != Wish::Refuse).collect();
        let params: Vec<_> = wanted.iter().flat_map(|command| [command.id.into(), command.amount.into()]).collect();
        let mut amounts = std::collections::HashMap::new();
        tx.many(&ADD, &params, |row| {
            amounts.insert(row.get::<i64>(0)?, row.get::<i64>(1)?);
            Ok(())
        })?;
        if commands.iter().any(|command| command.wish == Wish::BreakSql) {
            tx.execute("update nowhere set id = 1", &[])?;
        }
        assert!(commands.iter().all(|command| command.wish != Wish::Panic), "as wished");
        let answered = commands.iter().filter(|command| command.wish != Wish::Forget);
        Ok(answered.map(|command| amounts.get(&command.id).copied().ok_or(Refusal::No)).collect())
    }
}

fn submit(db: &Db, calls: &Seen<Vec<i64>>, id: i64, wish: Wish) -> Queued<Result<i64, Refusal>> {
    let (db, calls) = (db.clone(), Arc::clone(calls));
    queue(async move { db.submit::<Add>(Add { id, amount: id * 10, wish, calls }).await })
}

fn queued_commands_run_as_one_call(place: &Place) {
    let (db, calls) = (place.open(), Seen::default());
    let held = hold(&db);
    let queued: Vec<_> = (1..=5).map(|id| submit(&db, &calls, id, Wish::Add)).collect();
    held.release();
    for (id, call) in (1..).zip(queued) {
        assert_eq!(wait(call).unwrap(), id * 10);
    }
    assert_eq!(*calls.lock().unwrap(), [[1, 2, 3, 4, 5]]);
    assert_eq!(items(&db), [1, 2, 3, 4, 5]);
    assert_eq!(db.stats().jobs(), 6);
}

fn commands_that_share_a_key_meet_in_no_call(place: &Place) {
    let (db, calls) = (place.open(), Seen::default());
    let held = hold(&db);
    let queued: Vec<_> = [1, 2, 1, 3, 1].into_iter().map(|id| submit(&db, &calls, id, Wish::Add)).collect();
    held.release();
    let answers: Vec<_> = queued.into_iter().map(|call| wait(call).unwrap()).collect();
    assert_eq!(answers, [10, 20, 20, 30, 30], "the later sees the earlier");
    assert_eq!(*calls.lock().unwrap(), [vec![1, 2], vec![1, 3], vec![1]]);
    let groups = if place.is_postgres() { 4 } else { 2 };
    assert_eq!(db.stats().groups(), groups, "SQLite: one transaction for all of them; PostgreSQL: one for each call");
}

fn a_refusal_is_a_value(place: &Place) {
    let (db, calls) = (place.open(), Seen::default());
    let held = hold(&db);
    let wishes = [(1, Wish::Add), (2, Wish::Refuse), (3, Wish::Add)];
    let queued: Vec<_> = wishes.into_iter().map(|(id, wish)| submit(&db, &calls, id, wish)).collect();
    held.release();
    let answers: Vec<_> = queued.into_iter().map(wait).collect();
    assert!(matches!(answers[..], [Ok(10), Err(Refusal::No), Ok(30)]), "{answers:?}");
    assert_eq!(*calls.lock().unwrap(), [[1, 2, 3]]);
    assert_eq!(items(&db), [1, 3]);
}

fn a_bad_command_fails_alone(place: &Place) {
    for (wish, text) in [(Wish::BreakSql, "nowhere"), (Wish::Panic, "as wished")] {
        let (db, calls) = (place.open(), Seen::default());
        run(&db, |tx| tx.execute("delete from item", &[])).unwrap();
        let held = hold(&db);
        let neighbour = write(&db, |tx| Ok(insert(tx, 9)?));
        let wishes = [(1, Wish::Add), (2, wish), (3, Wish::Add)];
        let queued: Vec<_> = wishes.into_iter().map(|(id, wish)| submit(&db, &calls, id, wish)).collect();
        held.release();
        wait(neighbour).unwrap();
        let answers: Vec<_> = queued.into_iter().map(wait).collect();
        let [Ok(10), Err(Refusal::Engine(error)), Ok(30)] = &answers[..] else { panic!("{answers:?}") };
        assert!(error.to_string().contains(text), "{error}");
        let calls = calls.lock().unwrap();
        assert!(calls.starts_with(&[vec![1, 2, 3]]), "{calls:?}");
        assert!(calls.ends_with(&[vec![1], vec![2], vec![3]]), "{calls:?}");
        assert_eq!(items(&db), [1, 3, 9], "each counted once");
        assert_eq!(one::<i64>(&db, "select sum(amount) from item"), 40);
    }
}

fn a_verb_answers_every_command(place: &Place) {
    let (db, calls) = (place.open(), Seen::default());
    let held = hold(&db);
    let queued: Vec<_> =
        [(1, Wish::Add), (2, Wish::Forget)].into_iter().map(|(id, wish)| submit(&db, &calls, id, wish)).collect();
    held.release();
    let answers: Vec<_> = queued.into_iter().map(wait).collect();
    let [Ok(10), Err(Refusal::Engine(Error::Sql(text)))] = &answers[..] else { panic!("{answers:?}") };
    assert!(text.contains("0 of 1"), "{text}");
    assert_eq!(items(&db), [1]);
}

fn closures_and_commands_share_a_group(place: &Place) {
    let (db, calls) = (place.open(), Seen::default());
    let held = hold(&db);
    let first = write(&db, |tx| Ok(insert(tx, 7)?));
    let added = submit(&db, &calls, 7, Wish::Add);
    let refused = write(&db, |tx| {
        tx.execute("delete from item", &[])?;
        Err::<(), _>(Refusal::No)
    });
    let other = submit(&db, &calls, 8, Wish::Add);
    held.release();
    wait(first).unwrap();
    assert_eq!((wait(added).unwrap(), wait(other).unwrap()), (70, 80));
    assert!(matches!(wait(refused), Err(Refusal::No)));
    assert_eq!(items(&db), [7, 8]);
}
