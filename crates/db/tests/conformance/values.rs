//! Every kind of value goes in and comes out as itself, alone and in sets, and so does every null.

use crate::support::*;
use tieline_db::{Error, Many, Param, Read, Row, Ty};
use uuid::Uuid;

on_both!(values_go_in_one_by_one, values_go_in_as_sets, numbers_come_out_as_numbers, the_wrong_kind_is_an_error,);

static INSERT: Many = Many::new(
    "insert into kind (id, b, i, r, t, y, u, j) values (:id, :b, :i, :r, :t, :y, :u, :j)",
    &[
        ("id", Ty::Int),
        ("b", Ty::Bool),
        ("i", Ty::Int),
        ("r", Ty::Real),
        ("t", Ty::Text),
        ("y", Ty::Bytes),
        ("u", Ty::Uuid),
        ("j", Ty::Json),
    ],
);

#[derive(Clone, Debug, PartialEq)]
struct Kinds {
    id: i64,
    b: Option<bool>,
    i: Option<i64>,
    r: Option<f64>,
    t: Option<String>,
    y: Option<Vec<u8>>,
    u: Option<Uuid>,
    j: Option<String>,
}

impl Kinds {
    fn params(&self) -> [Param<'_>; 8] {
        [
            self.id.into(),
            self.b.into(),
            self.i.into(),
            self.r.into(),
            (&self.t).into(),
            self.y.as_ref().into(),
            self.u.into(),
            (&self.j).into(),
        ]
    }
    fn of(row: &Row) -> Result<Kinds, Error> {
        Ok(Kinds {
            id: row.get(0)?,
            b: row.get(1)?,
            i: row.get(2)?,
            r: row.get(3)?,
            t: row.get(4)?,
            y: row.get(5)?,
            u: row.get(6)?,
            j: row.get(7)?,
        })
    }
}

/// One full, one with extreme values, and one for each column that alone is not null.
fn kinds() -> Vec<Kinds> {
    let none = Kinds { id: 0, b: None, i: None, r: None, t: None, y: None, u: None, j: None };
    let full = Kinds {
        id: 1,
        b: Some(true),
        i: Some(-3),
        r: Some(2.0),
        t: Some("a 'quoted' ünï\n$1 :id ?1".into()),
        y: Some(vec![0, 1, 255]),
        u: Some(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        j: Some(r#"{"a": 1}"#.into()),
    };
    let edges = Kinds {
        id: 2,
        b: Some(false),
        i: Some(i64::MIN),
        r: Some(-1.5e300),
        t: Some(String::new()),
        y: Some(vec![]),
        u: Some(Uuid::nil()),
        j: Some("[]".into()),
    };
    let mut kinds = vec![none.clone(), full.clone(), edges];
    kinds.push(Kinds { b: full.b, ..none.clone() });
    kinds.push(Kinds { i: Some(i64::MAX), ..none.clone() });
    kinds.push(Kinds { r: full.r, ..none.clone() });
    kinds.push(Kinds { t: full.t, ..none.clone() });
    kinds.push(Kinds { y: full.y, ..none.clone() });
    kinds.push(Kinds { u: full.u, ..none.clone() });
    kinds.push(Kinds { j: full.j, ..none });
    (0..).zip(kinds).map(|(id, kinds)| Kinds { id, ..kinds }).collect()
}

fn all(read: &mut Read) -> Result<Vec<Kinds>, Error> {
    read.all("select id, b, i, r, t, y, u, j from kind order by id", &[], Kinds::of)
}

fn values_go_in_one_by_one(place: &Place) {
    let db = place.open();
    let back = run(&db, |tx| {
        for kinds in kinds() {
            let sql = "insert into kind (id, b, i, r, t, y, u, j) values ($1, $2, $3, $4, $5, $6, $7, $8)";
            assert_eq!(tx.execute(sql, &kinds.params())?, 1);
        }
        all(tx)
    });
    assert_eq!(back.unwrap(), kinds());
    // And as conditions.
    let found = read(&db, |read| {
        let full = kinds().remove(1);
        let [_, b, i, r, t, y, u, _] = full.params();
        let sql = "select id from kind where b = $1 and i = $2 and r = $3 and t = $4 and y = $5 and u = $6";
        read.all(sql, &[b, i, r, t, y, u], |row| row.get::<i64>(0))
    });
    assert_eq!(found.unwrap(), [1]);
}

fn values_go_in_as_sets(place: &Place) {
    let db = place.open();
    let back = run(&db, |tx| {
        let kinds = kinds();
        let params: Vec<Param> = kinds.iter().flat_map(|kinds| kinds.params()).collect();
        assert_eq!(tx.many(&INSERT, &params, |_| Ok(()))?, kinds.len() as u64);
        all(tx)
    });
    assert_eq!(back.unwrap(), kinds());
}

fn numbers_come_out_as_numbers(place: &Place) {
    let db = place.open();
    run(&db, |tx| {
        for (id, amount) in [(1, 1i64), (2, 2), (3, 1 << 40)] {
            tx.execute("insert into item (id, amount) values ($1, $2)", &[id.into(), amount.into()])?;
        }
        Ok(())
    })
    .unwrap();
    // A literal is a narrower integer on PostgreSQL, a sum a wider one.
    for (sql, value) in [
        ("select 1", 1),
        ("select count(*) from item", 3),
        ("select sum(amount) from item", (1 << 40) + 3),
        ("select sum(-amount) from item", -(1 << 40) - 3),
        ("select length('four')", 4),
        ("select max(amount) - min(amount) from item", (1 << 40) - 1),
        ("select case when count(*) > 2 then 1 else 0 end from item", 1),
    ] {
        assert_eq!(one::<i64>(&db, sql), value, "{sql}");
    }
    assert_eq!(one::<f64>(&db, "select avg(amount) from item where id < 3"), 1.5);
    assert_eq!(one::<Option<i64>>(&db, "select sum(amount) from item where id > 3"), None);
    assert!(one::<bool>(&db, "select count(*) = 3 from item"));
}

fn the_wrong_kind_is_an_error(place: &Place) {
    let db = place.open();
    let wrong = read(&db, |read| read.opt("select 'text'", &[], |row| row.get::<i64>(0)));
    assert!(matches!(&wrong, Err(Error::Sql(text)) if text == "column 0 is not an integer"), "{wrong:?}");
    let null = read(&db, |read| read.opt("select max(amount) from item", &[], |row| row.get::<i64>(0)));
    assert!(matches!(&null, Err(Error::Sql(text)) if text == "column 0 is not an integer"), "{null:?}");
    let absent = read(&db, |read| read.opt("select 1", &[], |row| row.get::<i64>(1)));
    assert!(matches!(absent, Err(Error::Sql(_))), "{absent:?}");
}
