//! Two servers of one test: a primary, and a standby that has every commit before it is acknowledged.
//!
//! Unlike the shared cluster they may be killed. They end with their value, or with the thread that started them, and
//! their folder with them. Nothing is flushed to disk: what is tried here is the death of a process, not of a machine.

use super::{Account, Binaries, START_ATTEMPTS, TEMPORARY, account, plain_environment, query};
use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Looks whether a server does what it is waited for, [`LOOK_MS`] apart: a minute in all.
const LOOKS: u32 = 1_200;
const LOOK_MS: u64 = 50;

/// A running server.
#[derive(Debug)]
struct Node {
    port: u16,
    child: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// A primary and its synchronous standby, with an empty database `desk` that the role `tieline` owns.
#[derive(Debug)]
pub struct Pair {
    // In this order: the standby ends first, so that the primary does not wait for it.
    standby: Node,
    primary: Node,
    psql: PathBuf,
    _folder: TempDir,
}

impl Pair {
    /// Starts both; some seconds.
    ///
    /// # Panics
    /// With one line when there is no PostgreSQL on the machine, or it does not start.
    pub fn start() -> Pair {
        Pair::try_start().unwrap_or_else(|reason| panic!("no pair of servers: {reason}"))
    }

    fn try_start() -> Result<Pair, String> {
        let binaries = Binaries::find(std::env::var_os("TIELINE_PG_BIN").as_deref())?;
        let account = account()?;
        let words = |error: std::io::Error| error.to_string();
        let folder = tempfile::Builder::new().prefix("tieline-pair-").tempdir_in(TEMPORARY).map_err(words)?;
        if let Some(Account { uid, gid }) = account {
            chown(folder.path(), Some(uid), Some(gid)).map_err(words)?;
        }
        let [first, second] = ["primary", "standby"].map(|name| folder.path().join(name));
        let run = |program: &Path, arguments: &[&OsStr]| {
            let mut command = as_account(program, account);
            let output = command.args(arguments).stdin(Stdio::null()).output().map_err(words)?;
            let said = || String::from_utf8_lossy(&output.stderr).trim().replace('\n', " < ");
            if output.status.success() { Ok(()) } else { Err(format!("{}: {}", program.display(), said())) }
        };
        let flags = ["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"].map(OsStr::new);
        run(&binaries.server.join("initdb"), &[&flags[..], &[first.as_os_str()]].concat())?;
        let start = |data: &Path, settings: &[String]| serve(&binaries, account, data, settings);
        let primary = start(&first, &["wal_level=replica".into()])?;
        let psql = binaries.psql.clone();
        let ask = |sql: &str| query(&psql, primary.port, "postgres", sql);
        ask("create role tieline login")?;
        ask("create database desk owner tieline")?;
        let from = format!("host=127.0.0.1 port={} user=postgres", primary.port);
        let flags = ["--no-sync", "-c", "fast", "-X", "stream", "-C", "-S", "standby", "-R", "-d", &from, "-D"];
        run(&binaries.server.join("pg_basebackup"), &[&flags.map(OsStr::new)[..], &[second.as_os_str()]].concat())?;
        let standby = start(&second, &[format!("primary_conninfo={from} application_name=standby")])?;
        // From here on a commit is acknowledged when the standby has it too.
        ask("alter system set synchronous_standby_names = 'standby'")?;
        ask("select pg_reload_conf()")?;
        let pair = Pair { standby, primary, psql, _folder: folder };
        pair.wait_for(&pair.primary, "select sync_state from pg_stat_replication", "sync")?;
        Ok(pair)
    }

    /// Both hosts, the primary being looked for.
    pub fn url(&self) -> String {
        let (one, two) = (self.primary.port, self.standby.port);
        format!("postgres://tieline@127.0.0.1:{one},127.0.0.1:{two}/desk?target_session_attrs=read-write")
    }

    /// Kills the primary, as the kernel or a power cut would, and waits until it is gone.
    ///
    /// # Panics
    /// When it had ended before.
    pub fn kill_primary(&mut self) {
        self.primary.child.kill().expect("it runs");
        self.primary.child.wait().expect("it ends");
    }

    /// Makes the standby the primary and waits until it takes writes.
    ///
    /// # Panics
    /// With one line when it does not become one within a minute.
    pub fn promote(&self) {
        let promoted = query(&self.psql, self.standby.port, "postgres", "select pg_promote(true, 60)");
        assert_eq!(promoted, Ok("t".into()), "the standby is not promoted");
    }

    fn wait_for(&self, node: &Node, sql: &str, wanted: &str) -> Result<(), String> {
        for _ in 0..LOOKS {
            if query(&self.psql, node.port, "postgres", sql).is_ok_and(|said| said == wanted) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(LOOK_MS));
        }
        Err(format!("{sql:?} does not become {wanted:?}"))
    }
}

fn as_account(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    plain_environment(&mut command);
    command.current_dir("/");
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Starts a server on a free port and waits until it answers.
fn serve(binaries: &Binaries, account: Option<Account>, data: &Path, settings: &[String]) -> Result<Node, String> {
    let words = |error: std::io::Error| error.to_string();
    for _ in 0..START_ATTEMPTS {
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).map_err(words)?.port();
        let mut command = as_account(Path::new("setpriv"), account);
        command.args(["--pdeathsig", "QUIT", "--"]).arg(binaries.server.join("postgres")).arg("-D").arg(data);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "fsync=off", "-c", "max_connections=60", "-k"]);
        command.arg(data).args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut node = Node { port, child: command.spawn().map_err(words)? };
        for _ in 0..LOOKS {
            if node.child.try_wait().map_err(words)?.is_some() {
                break;
            }
            if query(&binaries.psql, port, "postgres", "select 1").is_ok() {
                return Ok(node);
            }
            thread::sleep(Duration::from_millis(LOOK_MS));
        }
    }
    Err(format!("the server of {} does not start", data.display()))
}
