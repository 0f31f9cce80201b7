//! pgbouncer between us and the server. The cases of both engines run behind one too, see `on_both!`.

use crate::support::*;
use tieline_db::{Config, Db, Error};
use tieline_testkit::postgres::{Database, Pooler};

#[test]
fn one_in_transaction_mode_is_refused_with_one_clear_line() {
    let database = Database::create();
    for mode in ["transaction", "statement"] {
        let pooler = Pooler::start(mode);
        let refused = Db::open(Config::postgres(pooler.url(&database), SCHEMA)).err();
        let Some(Error::Unavailable(text)) = refused else { panic!("{mode}: {refused:?}") };
        assert!(text.contains("pool") && !text.contains('\n'), "{mode}: {text}");
    }
}

#[test]
fn one_in_session_mode_may_come_and_go() {
    let place = Place::postgres();
    let Place::Postgres(database) = &place else { unreachable!() };
    let pooler = Pooler::start("session");
    let url = pooler.url(database);
    let db = Db::open(Config::postgres(&url, SCHEMA)).unwrap();
    run(&db, |tx| insert(tx, 1)).unwrap();
    // What one client has prepared is nothing to the next on the same connection.
    db.close();
    let db = Db::open(Config::postgres(&url, SCHEMA)).unwrap();
    run(&db, |tx| insert(tx, 2)).unwrap();
    drop(pooler);
    let refused = run(&db, |tx| insert(tx, 3));
    assert!(matches!(refused, Err(Error::Away { .. })), "{refused:?}");
    assert_eq!(items(&place.open()), [1, 2]);
}
