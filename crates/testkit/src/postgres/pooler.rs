//! pgbouncer in front of the shared cluster, for one test.

use super::{Database, account, plain_environment, required};
use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::{fs::PermissionsExt, process::CommandExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Another process may take the chosen port before pgbouncer does; then another port is tried.
const START_ATTEMPTS: u32 = 5;
/// Looks whether it answers, [`LOOK_MS`] apart: half a minute in all.
const LOOKS: u32 = 1_500;
const LOOK_MS: u64 = 20;

/// A pgbouncer, ended with this value, or with the thread that started it.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    child: Child,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one; `mode` is pgbouncer's `pool_mode`.
    ///
    /// # Panics
    /// With one line when there is none on the machine, or it does not start.
    pub fn start(mode: &str) -> Pooler {
        let server = required().port;
        let mut said = String::new();
        for _ in 0..START_ATTEMPTS {
            match attempt(server, mode) {
                Ok(pooler) => return pooler,
                Err(log) => said = log,
            }
        }
        panic!("pgbouncer does not start: {said}");
    }

    /// The URL of `database` through the pooler.
    pub fn url(&self, database: &Database) -> String {
        let name = database.url.rsplit_once('/').expect("a URL with a name").1;
        format!("postgres://tieline@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn attempt(server: u16, mode: &str) -> Result<Pooler, String> {
    let words = |error: std::io::Error| error.to_string();
    let folder = tempfile::Builder::new().prefix("tieline-pooler-").tempdir_in(super::TEMPORARY).map_err(words)?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).map_err(words)?;
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).map_err(words)?.port();
    let settings = folder.path().join("pgbouncer.ini");
    // `any` trusts whoever comes, as the cluster does, if the server's user is named.
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={server} user=tieline\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = 30\n"
    );
    fs::write(&settings, text).map_err(words)?;
    let log = folder.path().join("log");
    let output = fs::File::create(&log).map_err(words)?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program()).arg(&settings);
    plain_environment(&mut command);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
    // It refuses to run as root.
    if let Some(account) = account()? {
        command.uid(account.uid).gid(account.gid);
    }
    let mut pooler = Pooler { port, child: command.spawn().map_err(words)?, _folder: folder };
    for _ in 0..LOOKS {
        if pooler.child.try_wait().map_err(words)?.is_some() {
            break;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(pooler);
        }
        thread::sleep(Duration::from_millis(LOOK_MS));
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    Err(said.lines().rev().take(3).collect::<Vec<_>>().join(" < "))
}

/// Debian puts it where ordinary users do not look.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders =
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    let found = folders.find_map(|folder| Some(folder.join("pgbouncer")).filter(|file: &PathBuf| Path::is_file(file)));
    found.unwrap_or_else(|| {
        panic!("This test needs pgbouncer: install it (apt-get install pgbouncer, or scripts/setup.sh).")
    })
}
