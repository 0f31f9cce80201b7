//! The same text means the same on both engines: parameters, sets, and the portable part of SQL that verbs may use.

use crate::support::*;
use tieline_db::{Ask, Db, Error, FromColumn, Many, Numbers, Ty};

on_both!(
    parameters_go_by_number,
    a_wrong_number_of_parameters_is_an_error,
    sets_insert_and_say_what_was_new,
    sets_update_and_return,
    sets_select_by_index,
    statements_that_are_asked_together,
    an_empty_set_is_nothing,
    part_of_a_row_is_an_error,
    keysets,
    json_members,
    nulls_compare_and_sort,
    aggregates_and_windows,
    common_table_expressions,
    update_from_and_insert_select,
    a_column_that_counts_positions,
);

fn rows<T: FromColumn + Send + 'static>(db: &Db, sql: &'static str) -> Vec<T> {
    read(db, move |read| read.all(sql, &[], |row| row.get(0))).unwrap()
}

fn filled(place: &Place) -> Db {
    let db = place.open();
    run(&db, |tx| {
        for (id, amount, at) in
            [(1i64, 10i64, Some(5i64)), (2, 20, None), (3, 10, Some(7)), (4, 30, None), (5, 20, Some(1))]
        {
            let name = format!("item {id}");
            let sql = "insert into item (id, name, amount, at) values ($1, $2, $3, $4)";
            tx.execute(sql, &[id.into(), (&name).into(), amount.into(), at.into()])?;
        }
        Ok(())
    })
    .unwrap();
    db
}

fn parameters_go_by_number(place: &Place) {
    let db = filled(place);
    let (back, twice, text) = read(&db, |read| {
        let back = read.opt(
            "select amount from item where amount = $2 and id = $1 and at is not distinct from $3",
            &[2i64.into(), 20i64.into(), None::<i64>.into()],
            |row| row.get::<i64>(0),
        )?;
        let twice = read.all(
            "select id from item where amount > $1 and id > $2 and amount < $3 + $1 order by id limit $4",
            &[9i64.into(), 1i64.into(), 20i64.into(), 2i64.into()],
            |row| row.get::<i64>(0),
        )?;
        let text = read.opt("select '$2' from item where id = $1", &[1i64.into()], |row| row.get::<String>(0));
        Ok((back, twice, text.ok()))
    })
    .unwrap();
    assert_eq!((back, twice), (Some(20), vec![2, 3]));
    assert!(text.is_none() || text == Some(Some("$2".into())), "a literal is no parameter: {text:?}");
    run(&db, |tx| {
        tx.execute("update item set amount = $2, name = $3 where id = $1", &[1i64.into(), 11i64.into(), "n".into()])
    })
    .unwrap();
    assert_eq!(one::<i64>(&db, "select amount from item where id = 1 and name = 'n'"), 11);
}

fn a_wrong_number_of_parameters_is_an_error(place: &Place) {
    let db = filled(place);
    for params in [vec![], vec![1i64.into()], vec![1i64.into(), 2i64.into(), 3i64.into()]] {
        let failed = read(&db, move |read| {
            read.all("select id from item where id = $1 and amount = $2", &params, |row| row.get::<i64>(0))
        });
        assert!(matches!(failed, Err(Error::Sql(_))), "{failed:?}");
    }
}

static INSERT: Many = Many::new(
    "insert into item (id, name, amount) values (:id, :name, coalesce(:amount, 7)) on conflict do nothing returning id",
    &[("id", Ty::Int), ("name", Ty::Text), ("amount", Ty::Int)],
);

fn sets_insert_and_say_what_was_new(place: &Place) {
    let db = filled(place);
    let (new, changed) = run(&db, |tx| {
        let mut new = Vec::new();
        let mut params = Vec::new();
        // The first id is taken, the third's name is, and the last repeats the second.
        let names = ["a", "b", "item 2", "d", "b"];
        for (id, name) in [1, 6, 7, 8, 6].into_iter().zip(names) {
            params.extend([id.into(), name.into(), if id == 8 { tieline_db::Param::Null } else { id.into() }]);
        }
        let changed = tx.many(&INSERT, &params, |row| {
            new.push(row.get::<i64>(0)?);
            Ok(())
        })?;
        new.sort();
        Ok((new, changed))
    })
    .unwrap();
    assert_eq!((new, changed), (vec![6, 8], 2));
    assert_eq!(rows::<i64>(&db, "select amount from item where id > 5 order by id"), [6, 7]);
}

static UPDATE: Many = Many::new(
    "update item set amount = item.amount + :more where item.id = :id and item.amount < :below returning id, :ord",
    &[("id", Ty::Int), ("more", Ty::Int), ("below", Ty::Int)],
);

fn sets_update_and_return(place: &Place) {
    let db = filled(place);
    let (back, changed) = run(&db, |tx| {
        let params = [[4i64, 1, 100], [1, 2, 100], [9, 3, 100], [2, 4, 20]];
        let params: Vec<_> = params.as_flattened().iter().map(|value| (*value).into()).collect();
        let mut back = Vec::new();
        let changed = tx.many(&UPDATE, &params, |row| {
            back.push((row.get::<i64>(0)?, row.get::<i64>(1)?));
            Ok(())
        })?;
        back.sort();
        Ok((back, changed))
    })
    .unwrap();
    assert_eq!((back, changed), (vec![(1, 1), (4, 0)], 2));
    assert_eq!(rows::<i64>(&db, "select amount from item order by id"), [12, 20, 10, 31, 20]);
}

static LOCK: Many = Many::new("select 1 from item where id = :id order by id for update", &[("id", Ty::Int)]);
static SELECT: Many = Many::new(
    "select item.id, :ord, (select count(*) from item as o where o.amount = item.amount) from item where item.name = :name",
    &[("name", Ty::Text)],
);

fn sets_select_by_index(place: &Place) {
    let db = filled(place);
    let found = read(&db, |read| {
        let mut found = Vec::new();
        read.select_many(&SELECT, &["item 4".into(), "none".into(), "item 1".into(), "item 4".into()], |row| {
            found.push((row.get::<i64>(1)?, row.get::<i64>(0)?, row.get::<i64>(2)?));
            Ok(())
        })?;
        found.sort();
        Ok(found)
    });
    assert_eq!(found.unwrap(), [(0, 4, 1), (2, 1, 2), (3, 4, 1)]);
}

fn statements_that_are_asked_together(place: &Place) {
    let db = filled(place);
    let (found, numbers) = run(&db, |tx| {
        let (mut found, mut numbers, mut locked) = (Vec::new(), Numbers::default(), 0);
        tx.run_many(&INSERT, &[6i64.into(), "item 6".into(), 9i64.into()])?;
        tx.together(vec![
            Ask::select(&SELECT, vec!["item 6".into(), "none".into(), "item 1".into()], |row| {
                found.push((row.get::<i64>(1)?, row.get::<i64>(0)?));
                Ok(())
            }),
            Ask::select(&SELECT, vec![], |_| panic!("a row of nothing")),
            Ask::numbers(3, &mut numbers),
            Ask::lock(&LOCK, vec![1i64.into(), 2i64.into(), 99i64.into()], &mut locked),
        ])?;
        assert_eq!(locked, if tx.is_shared() { 2 } else { 0 });
        found.sort();
        Ok((found, [numbers.take()?, numbers.take()?, numbers.take()?]))
    })
    .unwrap();
    assert_eq!(found, [(0, 6), (2, 1)]);
    assert!(numbers.is_sorted() && numbers[0] < numbers[2], "{numbers:?}");
    let part = run(&db, |tx| tx.together(vec![Ask::select(&INSERT, vec![1i64.into()], |_| Ok(()))]));
    assert!(matches!(part, Err(Error::Sql(_))), "{part:?}");
    let failed = run(&db, |tx| {
        tx.together(vec![Ask::select(&SELECT, vec!["item 1".into()], |row| row.get::<String>(1).map(drop))])
    });
    assert!(failed.is_err(), "what is called for a row may fail");
}

fn an_empty_set_is_nothing(place: &Place) {
    let db = filled(place);
    let changed = run(&db, |tx| {
        tx.select_many(&SELECT, &[], |_| panic!("a row of nothing"))?;
        tx.run_many(&INSERT, &[])?;
        Ok((tx.many(&INSERT, &[], |_| Ok(()))?, tx.many(&UPDATE, &[], |_| Ok(()))?))
    });
    assert_eq!(changed.unwrap(), (0, 0));
}

fn part_of_a_row_is_an_error(place: &Place) {
    let db = filled(place);
    let failed = run(&db, |tx| tx.run_many(&INSERT, &[6i64.into(), "a".into(), 1i64.into(), 7i64.into()]));
    assert!(matches!(failed, Err(Error::Sql(_))), "{failed:?}");
    assert_eq!(items(&db), [1, 2, 3, 4, 5]);
}

fn keysets(place: &Place) {
    let db = filled(place);
    let after = |amount: i64, id: i64| {
        let sql = "select id from item where (amount, id) > ($1, $2) order by amount, id limit 2";
        read(&db, move |read| read.all(sql, &[amount.into(), id.into()], |row| row.get::<i64>(0))).unwrap()
    };
    assert_eq!((after(0, 0), after(10, 3), after(20, 2)), (vec![1, 3], vec![2, 5], vec![5, 4]));
}

fn json_members(place: &Place) {
    let db = place.open();
    run(&db, |tx| {
        let json = r#"{"plan": "gold", "n": 3, "deep": {"a": "b"}, "none": null}"#;
        tx.execute("insert into kind (id, j) values (1, $1)", &[json.into()])
    })
    .unwrap();
    assert_eq!(one::<String>(&db, "select j ->> 'plan' from kind"), "gold");
    assert_eq!(one::<String>(&db, "select j -> 'deep' ->> 'a' from kind"), "b");
    assert_eq!(one::<Option<String>>(&db, "select j ->> 'none' from kind"), None);
    assert_eq!(one::<Option<String>>(&db, "select j ->> 'other' from kind"), None);
    assert_eq!(one::<i64>(&db, "select count(*) from kind where j ->> 'plan' = 'gold'"), 1);
    assert_eq!(one::<i64>(&db, "select cast(j ->> 'n' as bigint) from kind"), 3);
}

fn nulls_compare_and_sort(place: &Place) {
    let db = filled(place);
    assert_eq!(rows::<i64>(&db, "select id from item where at is not distinct from null order by id"), [2, 4]);
    assert_eq!(rows::<i64>(&db, "select id from item where at is distinct from 5 order by id"), [2, 3, 4, 5]);
    assert_eq!(rows::<i64>(&db, "select id from item order by at nulls last, id"), [5, 1, 3, 2, 4]);
    assert_eq!(rows::<i64>(&db, "select id from item order by at desc nulls last, id"), [3, 1, 5, 2, 4]);
    assert_eq!(rows::<i64>(&db, "select id from item order by at nulls first, id"), [2, 4, 5, 1, 3]);
}

fn aggregates_and_windows(place: &Place) {
    let db = filled(place);
    assert_eq!(one::<i64>(&db, "select count(*) filter (where amount = 10) from item"), 2);
    assert_eq!(one::<i64>(&db, "select sum(amount) filter (where at is null) from item"), 50);
    assert_eq!(
        rows::<i64>(&db, "select row_number() over (partition by amount order by id desc) from item order by id"),
        [2, 2, 1, 1, 1]
    );
    assert_eq!(rows::<i64>(&db, "select sum(amount) over (order by id) from item order by id"), [10, 30, 40, 70, 90]);
    assert_eq!(
        rows::<Option<i64>>(&db, "select lag(amount) over (order by id) from item order by id limit 2"),
        [None, Some(10)]
    );
    assert_eq!(
        rows::<i64>(&db, "select amount from item group by amount having count(*) > 1 order by amount"),
        [10, 20]
    );
}

fn common_table_expressions(place: &Place) {
    let db = filled(place);
    let sql = "with dear as (select id, amount from item where amount > 10), \
               dearest as (select max(amount) as most from dear) \
               select dear.id from dear join dearest on dear.amount = dearest.most";
    assert_eq!(rows::<i64>(&db, sql), [4]);
    let sql = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 4) select sum(i) from n";
    assert_eq!(one::<i64>(&db, sql), 10);
}

fn update_from_and_insert_select(place: &Place) {
    let db = filled(place);
    run(&db, |tx| {
        let copied = tx.execute(
            "insert into counter (id, n) select id, amount * 2 from item where amount > $1",
            &[10i64.into()],
        )?;
        assert_eq!(copied, 3);
        let upserted = tx.execute(
            "insert into counter (id, n) values ($1, $2) on conflict (id) do update set n = counter.n + excluded.n",
            &[4i64.into(), 5i64.into()],
        )?;
        assert_eq!(upserted, 1);
        let updated = tx.execute("update item set amount = counter.n from counter where counter.id = item.id", &[])?;
        assert_eq!(updated, 3);
        let deleted =
            tx.all("delete from item where amount = $1 returning id", &[10i64.into()], |row| row.get::<i64>(0))?;
        assert_eq!(deleted.len(), 2);
        Ok(())
    })
    .unwrap();
    assert_eq!(rows::<i64>(&db, "select amount from item order by id"), [40, 65, 40]);
}

fn a_column_that_counts_positions(place: &Place) {
    let db = place.open();
    run(&db, |tx| {
        for note in ["a", "b", "c"] {
            tx.execute("insert into log (note) values ($1)", &[note.into()])?;
        }
        Ok(())
    })
    .unwrap();
    let positions = rows::<Option<i64>>(&db, "select position from log order by note");
    assert_eq!(positions, [Some(1), Some(2), Some(3)]);
}
