//! A place for a database of either engine, and the means to make groups and races that come out the same every time.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use tempfile::TempDir;
use tieline_db::{Config, Db, Error, Migration, Read, Tx};
use tieline_testkit::postgres::{Database, Pooler};

/// The tables of most cases.
pub static SCHEMA: &[Migration] = &[Migration {
    version: 1,
    name: "tables",
    sql: "create table item (id bigint primary key, name text unique, amount bigint not null default 0, at bigint) {{without_rowid}};
          create table kind (id bigint primary key, b boolean, i bigint, r double precision, t text, y bytea, u uuid, j jsonb);
          create table counter (id bigint primary key, n bigint not null);
          create table log (position {{position}}, note text not null);
          {{numbers}};",
}];

/// Where one test's database is; gone with this value.
pub enum Place {
    Sqlite(TempDir),
    Postgres(Database),
    Pooled { _database: Database, url: String },
}

impl Place {
    pub fn sqlite() -> Place {
        Place::Sqlite(TempDir::new().unwrap())
    }
    pub fn postgres() -> Place {
        Place::Postgres(Database::create())
    }
    pub fn behind(pooler: &Pooler) -> Place {
        let database = Database::create();
        let url = pooler.url(&database);
        Place::Pooled { _database: database, url }
    }
    pub fn is_postgres(&self) -> bool {
        !matches!(self, Place::Sqlite(_))
    }
    pub fn file(&self) -> PathBuf {
        match self {
            Place::Sqlite(folder) => folder.path().join("test.db"),
            Place::Postgres(_) | Place::Pooled { .. } => panic!("no file"),
        }
    }
    pub fn url(&self) -> &str {
        match self {
            Place::Sqlite(_) => panic!("no URL"),
            Place::Postgres(database) => &database.url,
            Place::Pooled { url, .. } => url,
        }
    }
    /// One writer on both engines, so that the groups of a case are the same.
    pub fn config(&self, migrations: &'static [Migration]) -> Config {
        let mut config = match self {
            Place::Sqlite(_) => Config::sqlite(self.file(), migrations),
            Place::Postgres(_) | Place::Pooled { .. } => Config::postgres(self.url(), migrations),
        };
        config.limits.writers = 1;
        config
    }
    pub fn open(&self) -> Db {
        Db::open(self.config(SCHEMA)).unwrap()
    }
}

/// A call that has been made but not waited for.
pub type Queued<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes a call, which by this is in its queue; those after it come after it.
pub fn queue<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> Queued<T> {
    let mut call: Queued<T> = Box::pin(call);
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => call,
        Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
    }
}

pub fn wait<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(call)
}

/// A writer kept busy.
pub struct Hold {
    release: mpsc::Sender<()>,
    answer: Queued<Result<(), Error>>,
}

/// Keeps the only writer busy; returns once it is.
pub fn hold(db: &Db) -> Hold {
    let (started, has_started) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let db = db.clone();
    let answer = queue(async move {
        db.write(move |_| {
            let _ = started.send(());
            let _ = released.lock().unwrap().recv();
            Ok(())
        })
        .await
    });
    has_started.recv().unwrap();
    Hold { release, answer }
}

impl Hold {
    pub fn release(self) {
        drop(self.release);
        wait(self.answer).unwrap();
    }
}

/// What a closure of the tests answers when it does not want to.
#[derive(Debug)]
pub enum Refusal {
    No,
    Engine(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Engine(error)
    }
}

/// Queues a write.
pub fn write<T: Send + 'static>(
    db: &Db,
    work: impl Fn(&mut Tx) -> Result<T, Refusal> + Send + 'static,
) -> Queued<Result<T, Refusal>> {
    let db = db.clone();
    queue(async move { db.write(work).await })
}

/// Writes and waits.
pub fn run<T: Send + 'static>(
    db: &Db,
    work: impl Fn(&mut Tx) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    wait(db.write(work))
}

/// Reads and waits.
pub fn read<T: Send + 'static>(
    db: &Db,
    work: impl FnOnce(&mut Read) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    wait(db.read(work))
}

pub fn insert(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("insert into item (id, name) values ($1, $2)", &[id.into(), (&format!("item {id}")).into()]).map(drop)
}

/// The ids in `item`, in order.
pub fn items(db: &Db) -> Vec<i64> {
    read(db, |read| read.all("select id from item order by id", &[], |row| row.get(0))).unwrap()
}

/// A list that verbs and closures write to from their threads.
pub type Seen<T> = Arc<Mutex<Vec<T>>>;

/// One SQL statement of one row and one value.
pub fn one<T: tieline_db::FromColumn + Send + 'static>(db: &Db, sql: &'static str) -> T {
    read(db, move |read| read.opt(sql, &[], |row| row.get(0))).unwrap().unwrap()
}
