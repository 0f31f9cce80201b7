//! The database of one run, and the engines on it: a SQLite file, whose one engine all nodes share, or a database on a
//! PostgreSQL server (`TIELINE_TEST_ENGINE=postgresql`), where each node has an engine and sessions of its own, as there.

use std::path::PathBuf;
use std::sync::Arc;
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db, Limits, params};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres::{self, Database};
use tieline_testkit::sim::Faults;

/// Ends every session of the engine of this name, as a server does that is shut down, and waits until they have ended.
const END_SESSIONS: &str = "select count(*) from (select pg_terminate_backend(pid, 10000) as ended from pg_stat_activity \
     where datname = current_database() and application_name = $1) e where ended";

pub struct Store {
    clock: VirtualClock,
    seed: u64,
    on: On,
}

enum On {
    File {
        path: PathBuf,
        _folder: tempfile::TempDir,
    },
    Server {
        /// Nobody's: what ends the sessions of the others.
        janitor: Db,
        database: Database,
    },
}

/// An engine and what goes wrong in it.
#[derive(Clone)]
pub struct Engine {
    pub db: Db,
    pub faults: Arc<Faults>,
}

impl Store {
    pub fn new(clock: &VirtualClock, seed: u64) -> Store {
        let on = match postgres::wanted() {
            Some(database) => {
                let mut config = Config::postgres(&database.url, MIGRATIONS);
                config.limits = Limits { group: 1, readers: 1, writers: 1, ..Limits::POSTGRES };
                On::Server { janitor: Db::open(config).expect("opens"), database }
            }
            None => {
                // In memory where the machine has such a place: what is tested is not the disk.
                let base = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
                let folder = tempfile::tempdir_in(base.unwrap_or_else(std::env::temp_dir)).expect("a folder");
                On::File { path: folder.path().join("simulation.db"), _folder: folder }
            }
        };
        Store { clock: clock.clone(), seed, on }
    }

    /// Whether each node has an engine of its own.
    pub fn is_server(&self) -> bool {
        matches!(self.on, On::Server { .. })
    }

    /// Opens an engine; no two of a run have the same number.
    pub fn open(&self, number: u64) -> Engine {
        let seed = self.seed.wrapping_add(number << 32);
        let (mut config, faults) = match &self.on {
            On::File { path, .. } => (Config::sqlite(path, MIGRATIONS), Faults::new(seed)),
            On::Server { janitor, database } => {
                let (janitor, name) = (janitor.clone(), format!("tieline node-{number}"));
                let url = format!("{}?application_name=node-{number}", database.url);
                let end = move || {
                    let name = name.clone();
                    let ended = janitor.read(move |read| {
                        Ok::<_, Error>(read.opt(END_SESSIONS, &params![&name], |row| row.get::<i64>(0))?)
                    });
                    // The caller may be inside a runtime, which must not block.
                    let wait = || {
                        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                        runtime.block_on(ended).expect("sessions end");
                    };
                    std::thread::scope(|scope| scope.spawn(wait).join()).expect("no panic");
                };
                (Config::postgres(url, MIGRATIONS), Faults::with_sessions(seed, end))
            }
        };
        config.clock = Arc::new(self.clock.clone());
        config.seed = Some(seed);
        // One at a time, so that the seed decides about every order.
        config.limits = Limits { group: 1, readers: 1, writers: 1, ..config.limits };
        config.faults = Some(faults.clone());
        Engine { db: Db::open(config).expect("opens"), faults }
    }
}

impl Engine {
    /// As `kill -9` of its process: sessions end wherever they are, and nothing is finished.
    pub fn die(&self) {
        self.faults.die();
        self.db.close();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let On::Server { janitor, .. } = &self.on {
            janitor.close();
        }
    }
}
