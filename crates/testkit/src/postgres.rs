//! A real PostgreSQL for tests, from the binaries installed on the machine.
//!
//! Guarantees: a test gets an empty database of its own ([`Database::create`]); all test processes of one checkout share
//! one cluster, started by the first that asks; the cluster ends, and its folder with it, a few seconds after the last
//! of them has ended, however it ended. A killed test takes nothing from the others, and a killed cluster leaves
//! nothing behind.
//!
//! Why not a cluster per process: the test runner gives every test a process of its own, and `initdb` takes a second.
//! Why not a set-up script of the test runner: plain `cargo test` would have no database, and such scripts have no end
//! step. So the first process starts a small supervising shell in a process group of its own, and file locks say the
//! rest. The kernel drops a lock when its holder ends, also by `SIGKILL`; no process id is trusted:
//!
//! - `start.lock`, exclusive: one process at a time looks for the cluster and starts it.
//! - `users.lock`, shared: held by each test process to its end. The supervisor tries it exclusively once a second; once
//!   it got it [`GRACE_SECONDS`] times running it stops the cluster *while holding it*, so a newcomer waits and then
//!   finds none.
//! - `alive.lock`, exclusive: held by the supervisor. Free means that there is no cluster, whatever files lie about.
//!
//! PostgreSQL is the supervisor's child and ends with it (`PR_SET_PDEATHSIG`, by way of `setpriv`: the signal comes when
//! the parent *thread* ends, and a shell has only one). PostgreSQL refuses to run as root, so as root all of this runs as
//! the user `postgres`, else `nobody`, in a folder under `/tmp`, which that user can reach when the checkout is private.
//! Three empty lock files per checkout and the last log stay there: removing a lock file while others open it is a race.
//!
//! Linux only: `flock` and `setpriv` of util-linux. `TIELINE_PG_BIN` names another folder of binaries.

mod pair;
mod pooler;

pub use pair::Pair;
pub use pooler::Pooler;
use std::{
    collections::hash_map::DefaultHasher,
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, BufRead, BufReader},
    net::TcpListener,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};
use uuid::Uuid;

/// How long the cluster outlives its last user, so that the next test of the same run finds it.
const GRACE_SECONDS: u32 = 5;
/// Another process may take the chosen port before PostgreSQL does; then another port is tried.
const START_ATTEMPTS: u32 = 5;
/// Looks at a cluster that somebody else is starting, [`LOOK_MS`] apart: a minute in all.
const LOOKS: u32 = 3_000;
const LOOK_MS: u64 = 20;
/// Not `$TMPDIR`: that may be private to us, and a socket's path must stay below 108 bytes.
const TEMPORARY: &str = "/tmp";
/// What to say when there is none.
const HOW_TO_INSTALL: &str = "install it (Debian, Ubuntu: `apt-get install postgresql`; or run scripts/setup.sh), \
    or name the folder of initdb and postgres in TIELINE_PG_BIN";

/// Arguments: home, folder of binaries, psql, port, grace in seconds. Says `ready` and goes on in silence.
const SUPERVISOR: &str = r#"
set -eu
home=$1 bin=$2 psql=$3 port=$4 grace=$5
exec 8<"$home/users.lock" 9<"$home/alive.lock"
flock -n 9 || exit 1
exec 2>"$home/log"
trap '' HUP PIPE
trap 'exit 1' INT TERM
rm -rf "$home"/run.* || :
run=$(mktemp -d "$home/run.XXXXXX")
pg=
end() {
    trap '' INT TERM
    if [ -n "$pg" ]; then
        tries=0
        while kill -QUIT "$pg" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -lt 100 ] || kill -KILL "$pg"
            sleep 0.1
        done
    fi
    rm -rf "$run" "$home/cluster"
}
trap end EXIT
"$bin/initdb" --no-sync --no-instructions -A trust -U postgres -E UTF8 --locale=C -D "$run/data" >&2 8<&- 9<&-
setpriv --pdeathsig QUIT -- "$bin/postgres" -D "$run/data" -h 127.0.0.1 -p "$port" -k "$run" \
    -c fsync=off -c full_page_writes=off -c max_connections=100 >&2 8<&- 9<&- &
pg=$!
tries=0
until "$psql" -X -q -h "$run" -p "$port" -U postgres -d postgres -c 'create role tieline login' 8<&- 9<&-; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] && kill -0 "$pg" || exit 1
    sleep 0.1 8<&- 9<&-
done
echo "$port $$ $pg" >"$home/cluster.new"
mv "$home/cluster.new" "$home/cluster"
echo ready
exec >&2
idle=0
while kill -0 "$pg"; do
    if flock -n 8; then
        [ "$idle" -lt "$grace" ] || exit 0
        idle=$((idle + 1))
        flock -u 8
    else
        idle=0
    fi
    sleep 1 8<&- 9<&-
done
"#;

/// Chooses the engine of a run, for tests that know one database only.
pub const ENGINE_VARIABLE: &str = "TIELINE_TEST_ENGINE";

/// An empty database when `TIELINE_TEST_ENGINE` is `postgresql`; none, for a SQLite file of the test's own, when it is
/// `sqlite` or not set.
///
/// # Panics
/// For any other value, so that a misspelled one does not test SQLite twice.
pub fn wanted() -> Option<Database> {
    match std::env::var(ENGINE_VARIABLE).as_deref() {
        Ok("postgresql") => Some(Database::create()),
        Ok("sqlite") | Err(_) => None,
        Ok(other) => panic!("{ENGINE_VARIABLE} is sqlite or postgresql, not {other:?}"),
    }
}

/// An empty database on the shared cluster, owned by a role without special rights; dropped with this value.
#[derive(Debug)]
pub struct Database {
    /// `postgres://tieline@127.0.0.1:PORT/NAME`, without password or TLS.
    pub url: String,
    name: String,
    psql: PathBuf,
    port: u16,
}

impl Database {
    /// Creates one; the first call of a run starts the cluster (about two seconds).
    ///
    /// # Panics
    /// With one line when there is no PostgreSQL on the machine, or it does not start: a test that needs it cannot go on.
    pub fn create() -> Database {
        Database::create_on(required())
    }

    fn create_on(cluster: &Cluster) -> Database {
        let name = format!("t_{}", Uuid::now_v7().simple());
        let (psql, port) = (cluster.psql.clone(), cluster.port);
        query(&psql, port, "postgres", &format!("create database {name} owner tieline"))
            .unwrap_or_else(|reason| panic!("no database for this test: {reason}"));
        Database { url: format!("postgres://tieline@127.0.0.1:{port}/{name}"), name, psql, port }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("drop database if exists {} with (force)", self.name);
        if let Err(reason) = query(&self.psql, self.port, "postgres", &drop) {
            // Not a panic: the test may be unwinding already. The database goes with the cluster.
            eprintln!("database {} stays until the cluster ends: {reason}", self.name);
        }
    }
}

/// The shared cluster, held until this process ends.
#[derive(Debug)]
pub struct Cluster {
    port: u16,
    psql: PathBuf,
    /// Process id of the supervising shell, then of PostgreSQL.
    #[cfg(test)]
    pids: [u32; 2],
    /// Its shared lock is what keeps the cluster up.
    _users: File,
}

impl Cluster {
    /// For tests that need more than a database of their own: `postgres://postgres@127.0.0.1:PORT/postgres`, all rights.
    /// What is changed here is changed for every test of the run.
    pub fn admin_url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn join(home: &Path, grace_seconds: u32) -> Result<Cluster, String> {
        let binaries = Binaries::find(std::env::var_os("TIELINE_PG_BIN").as_deref())?;
        let account = account()?;
        prepare(home, account).map_err(|e| format!("cannot use {}: {e}", home.display()))?;
        let locks = |name: &str| open_lock(home, name).map_err(|e| format!("cannot open {name}: {e}"));
        let (start, alive, users) = (locks("start.lock")?, locks("alive.lock")?, locks("users.lock")?);
        let lock_error = |e: io::Error| format!("cannot lock in {}: {e}", home.display());
        start.lock().map_err(lock_error)?;
        users.lock_shared().map_err(lock_error)?;
        let note = home.join("cluster");
        let mut attempts = 0;
        for _ in 0..LOOKS {
            if alive.try_lock().is_ok() {
                alive.unlock().map_err(lock_error)?;
                if attempts == START_ATTEMPTS {
                    let log = fs::read_to_string(home.join("log")).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(5).collect();
                    return Err(format!("PostgreSQL does not start: {}", tail.join(" < ")));
                }
                attempts += 1;
                // A note of a dead cluster must not be taken for the new one's.
                let _ = fs::remove_file(&note);
                binaries.supervise(home, account, grace_seconds).map_err(|e| format!("no supervisor: {e}"))?;
            } else if let Some([port, _supervisor, _server]) = fs::read_to_string(&note).ok().and_then(numbers) {
                let port = u16::try_from(port).map_err(|_| format!("{port} is no port"))?;
                return Ok(Cluster {
                    port,
                    psql: binaries.psql,
                    #[cfg(test)]
                    pids: [_supervisor, _server],
                    _users: users,
                });
            } else {
                // Another process's supervisor, whose starter was killed meanwhile, is on its way up or down.
                thread::sleep(Duration::from_millis(LOOK_MS));
            }
        }
        Err(format!("the PostgreSQL in {} neither starts nor ends", home.display()))
    }
}

/// The shared cluster, started if need be.
///
/// # Panics
/// With one line that says what to install when the machine has no PostgreSQL, or why it does not start.
pub fn required() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let mut key = DefaultHasher::new();
        (env!("CARGO_MANIFEST_DIR"), std::env::var_os("TIELINE_PG_BIN")).hash(&mut key);
        let joined = base().and_then(|base| {
            let home = base.join(format!("{:016x}", key.finish()));
            sweep(&base, &home);
            Cluster::join(&home, GRACE_SECONDS)
        });
        joined.unwrap_or_else(|reason| panic!("{reason}"))
    })
}

/// Where the programs are.
struct Binaries {
    server: PathBuf,
    psql: PathBuf,
}

impl Binaries {
    /// `named`, else the newest of Debian's folders, else the search path.
    fn find(named: Option<&OsStr>) -> Result<Binaries, String> {
        let path: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
        let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut debian: Vec<(u32, PathBuf)> = debian
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        debian.sort_by(|a, b| b.cmp(a));
        let folders: Vec<PathBuf> = match named {
            Some(folder) => vec![folder.into()],
            None => debian.into_iter().map(|(_, bin)| bin).chain(path.iter().cloned()).collect(),
        };
        let holds = |folder: &&PathBuf, names: &[&str]| names.iter().all(|name| folder.join(name).is_file());
        let server = folders.iter().find(|folder| holds(folder, &["initdb", "postgres"]));
        let server = server.ok_or_else(|| format!("This test needs PostgreSQL 15 or newer: {HOW_TO_INSTALL}."))?;
        let psql = std::iter::once(server).chain(&path).find(|folder| holds(folder, &["psql"]));
        let psql = psql.ok_or_else(|| format!("This test needs PostgreSQL's psql: {HOW_TO_INSTALL}."))?;
        Ok(Binaries { server: server.clone(), psql: psql.join("psql") })
    }

    /// Starts the supervisor and waits until the cluster answers or the supervisor gave up; the caller looks which.
    fn supervise(&self, home: &Path, account: Option<Account>, grace_seconds: u32) -> io::Result<()> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR, "sh"]).args([home, &self.server, &self.psql]);
        command.args([port.to_string(), grace_seconds.to_string()]);
        plain_environment(&mut command);
        // Its own group, and none of our pipes: a test runner ends a test's whole group, and waits for its output's end.
        command.current_dir(home).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line != "ready\n" {
            child.wait()?;
        }
        Ok(())
    }
}

/// A user and group other than ours.
#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

/// Who runs PostgreSQL: we ourselves, unless we are root, whom it refuses.
fn account() -> Result<Option<Account>, String> {
    if our_uid()? != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|e| format!("cannot read /etc/passwd: {e}"))?;
    let find = |name: &str| {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
        Some(Account { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    };
    let account = find("postgres").or_else(|| find("nobody"));
    account
        .map(Some)
        .ok_or_else(|| "PostgreSQL refuses to run as root, and there is no user postgres or nobody.".into())
}

fn our_uid() -> Result<u32, String> {
    fs::metadata("/proc/self").map(|process| process.uid()).map_err(|e| format!("cannot read /proc/self: {e}"))
}

/// The folder of all our clusters of one user. Anybody may write to its parent, so it must turn out to be ours.
fn base() -> Result<PathBuf, String> {
    let uid = our_uid()?;
    let base = Path::new(TEMPORARY).join(format!("tieline-pg-{uid}"));
    if let Err(e) = DirBuilder::new().mode(0o755).create(&base)
        && e.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(format!("cannot make {}: {e}", base.display()));
    }
    match fs::symlink_metadata(&base) {
        Ok(found) if found.is_dir() && found.uid() == uid => Ok(base),
        _ => Err(format!("{} is not a folder of ours: remove it", base.display())),
    }
}

/// Makes the folder of one cluster, which `account` can write to and nobody else can read.
fn prepare(home: &Path, account: Option<Account>) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    match account {
        Some(Account { uid, gid }) => chown(home, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

fn open_lock(home: &Path, name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(home.join(name))?;
    // Whatever the umask: the supervisor opens it too, as another user.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    Ok(file)
}

/// Removes what killed clusters of other checkouts left behind; the own one's goes when it is started again.
fn sweep(base: &Path, own: &Path) {
    for home in fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|home| home != own)
    {
        let locks = (File::open(home.join("start.lock")), File::open(home.join("alive.lock")));
        let (Ok(start), Ok(alive)) = locks else { continue };
        if start.try_lock().is_err() || alive.try_lock().is_err() {
            continue;
        }
        for entry in fs::read_dir(&home).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b"run.") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Exactly three numbers.
fn numbers(text: String) -> Option<[u32; 3]> {
    let numbers: Option<Vec<u32>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// Nothing of `PGHOST`, `PGOPTIONS`, locale and the like.
fn plain_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", "C");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
}

/// Runs one statement as superuser; gives what it prints, or what psql says against it.
fn query(psql: &Path, port: u16, database: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new(psql);
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
    command.args(["-p", &port.to_string(), "-d", database, "-c", sql]).stdin(Stdio::null());
    plain_environment(&mut command);
    let output = command.output().map_err(|e| format!("cannot run {}: {e}", psql.display()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        process::Child,
    };

    const HOME: &str = "TIELINE_TESTKIT_POSTGRES_HOME";

    /// A cluster folder of one test, so that it sees the cluster end.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Home {
            let parent = base().unwrap().join(format!("test-{}", std::process::id()));
            DirBuilder::new().recursive(true).mode(0o755).create(&parent).unwrap();
            Home(parent.join(name))
        }
        fn runs(&self) -> usize {
            let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
            entries.filter(|name| name.as_encoded_bytes().starts_with(b"run.")).count()
        }
        /// Returns once the supervisor has ended.
        fn wait_until_over(&self) {
            open_lock(&self.0, "alive.lock").unwrap().lock().unwrap();
        }
    }
    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
            let _ = fs::remove_dir(self.0.parent().unwrap());
        }
    }

    /// A process that has ended, but that nobody has waited for, has an empty command line.
    fn runs(pid: &str) -> bool {
        fs::read(Path::new("/proc").join(pid).join("cmdline")).is_ok_and(|line| !line.is_empty())
    }

    /// Another test process: says its database's URL and the cluster's process ids, then lives until its input ends.
    fn other_process(home: &Home) -> (Child, Vec<String>) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["postgres::tests::as_another_process", "--exact", "--ignored", "--nocapture"]);
        command.env(HOME, &home.0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let line = lines.map(|line| line.unwrap()).find_map(|line| Some(line.split_once("joined ")?.1.to_owned()));
        let words = line.expect("the process joins").split_whitespace().map(str::to_owned).collect();
        (child, words)
    }

    #[test]
    #[ignore = "the tests beside it run it as a process of its own"]
    fn as_another_process() {
        let Some(home) = std::env::var_os(HOME) else { return };
        let cluster = Cluster::join(Path::new(&home), 0).unwrap();
        let database = Database::create_on(&cluster);
        println!("joined {} {} {}", database.url, cluster.pids[0], cluster.pids[1]);
        io::stdout().flush().unwrap();
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn processes_share_a_cluster_that_outlives_a_killed_one_and_ends_with_the_last() {
        let home = Home::new("share");
        // Both start at once: one of them starts the cluster.
        let (first, second) = thread::scope(|scope| {
            let first = scope.spawn(|| other_process(&home));
            let second = scope.spawn(|| other_process(&home));
            (first.join().unwrap(), second.join().unwrap())
        });
        let ((mut killed, mine), (mut last, other)) = (first, second);
        let [url, supervisor, server] = &mine[..] else { panic!("{mine:?}") };
        assert_eq!([supervisor, server], [&other[1], &other[2]], "one cluster");
        assert!(runs(supervisor) && runs(server));
        let (address, name) = url.rsplit_once('/').unwrap();
        let (other_address, other_name) = other[0].rsplit_once('/').unwrap();
        assert_eq!(address, other_address);
        assert_ne!(name, other_name);

        let psql = Binaries::find(None).unwrap().psql;
        let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
        query(&psql, port, name, "create table only_here()").unwrap();
        let there = |database: &str| query(&psql, port, database, "select to_regclass('only_here') is not null");
        assert_eq!([there(name), there(other_name)], [Ok("t".into()), Ok("f".into())]);

        killed.kill().unwrap();
        killed.wait().unwrap();
        assert_eq!(there(other_name), Ok("f".into()), "the cluster goes on");
        drop(last.stdin.take());
        assert!(last.wait().unwrap().success());
        home.wait_until_over();
        for pid in [supervisor, server] {
            assert!(!runs(pid), "process {pid} still runs");
        }
        assert_eq!((home.runs(), home.0.join("cluster").exists()), (0, false));
    }

    #[test]
    fn a_killed_cluster_is_replaced_and_its_folder_swept() {
        let home = Home::new("killed");
        let first = Cluster::join(&home.0, 0).unwrap();
        let mut session = Command::new(&first.psql);
        session.args(["-X", "-d", &first.admin_url(), "-c", "select pg_sleep(600)"]).stderr(Stdio::null());
        let mut session = session.spawn().unwrap();
        assert!(Command::new("kill").args(["-KILL", &first.pids[0].to_string()]).status().unwrap().success());
        // Ends when the server does, which is the supervisor's child and no longer has a parent.
        assert!(!session.wait().unwrap().success());

        let second = Cluster::join(&home.0, 0).unwrap();
        assert_ne!(first.pids, second.pids);
        assert_eq!(home.runs(), 1, "the dead one's folder is gone");
        let database = Database::create_on(&second);
        assert_eq!(query(&second.psql, second.port, &database.name, "select 1"), Ok("1".into()));

        let dead = Home::new("dead");
        prepare(&dead.0.join("run.1"), None).unwrap();
        for name in ["start.lock", "alive.lock"] {
            open_lock(&dead.0, name).unwrap();
        }
        sweep(home.0.parent().unwrap(), Path::new(""));
        assert_eq!((dead.runs(), home.runs()), (0, 1), "only what no supervisor holds");

        drop((database, first, second));
        home.wait_until_over();
        assert_eq!(home.runs(), 0);
    }

    #[test]
    fn a_database_goes_with_its_value_even_while_somebody_is_connected() {
        let cluster = required();
        let database = Database::create();
        let owner = query(
            &cluster.psql,
            cluster.port,
            &database.name,
            "select pg_get_userbyid(datdba) from pg_database where datname = current_database()",
        );
        assert_eq!(owner, Ok("tieline".into()));
        let count = format!("select count(*) from pg_database where datname = '{}'", database.name);
        let count = || query(&cluster.psql, cluster.port, "postgres", &count);
        let mut session = Command::new(&cluster.psql);
        session.args(["-X", "-A", "-t", "-d", &database.url, "-c", "select 'connected'", "-c", "select pg_sleep(600)"]);
        let mut session = session.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(session.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!((line.as_str(), count()), ("connected\n", Ok("1".into())));
        drop(database);
        assert_eq!(count(), Ok("0".into()));
        assert!(!session.wait().unwrap().success());
    }

    #[test]
    fn without_postgresql_one_line_says_what_to_install() {
        let reason = Binaries::find(Some(OsStr::new("/nonexistent"))).err().unwrap();
        assert!(reason.contains("apt-get install postgresql") && !reason.contains('\n'), "{reason}");
    }
}
