//! From the URL an operator pastes to a connection: libpq's parameters, mapped where the driver words them otherwise,
//! refused with the reason where it cannot do what they ask. Nothing is ignored that would weaken the connection.

use crate::{Error, Result};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a host may take until a connection can be used, unless the URL says otherwise.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged, unless the URL says otherwise: a cut cable is noticed after this.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// How long a connection may be silent before the other end is probed, unless the URL says otherwise.
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// How long between probes, unless the URL says otherwise.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// Parameters that the driver understands as libpq does.
const SAME: [&str; 13] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "channel_binding",
];

/// Where the server is and how to talk to it.
pub(super) struct Address {
    /// One for each host: each has a time of its own.
    pub hosts: Vec<tokio_postgres::Config>,
    pub tls: Option<MakeRustlsConnect>,
}

/// Reads a `postgres://` URL. Errors: [`Error::Address`], without the password.
pub(super) fn parse(url: &str) -> Result<Address> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return refuse("it has to start with postgres://");
    }
    let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
    let mut passed = Vec::new();
    let (mut tls, mut roots) = (false, None);
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let Some((name, value)) = parameter.split_once('=') else {
            return refuse("a parameter after the ? has no =");
        };
        match (name, value) {
            ("sslmode", "disable" | "allow" | "prefer") => tls = false,
            ("sslmode", "require" | "verify-full") => tls = true,
            ("sslmode", "verify-ca") => return refuse("sslmode=verify-ca: use verify-full, which checks the name too"),
            ("sslrootcert", path) => roots = Some(decode(path)),
            ("sslcert" | "sslkey" | "sslpassword", _) => {
                return refuse("client certificates (sslcert, sslkey) are not supported: use a password");
            }
            // Each connection is asked whether it takes writes, whatever stands here.
            ("target_session_attrs", "read-write" | "primary" | "any") => {}
            ("target_session_attrs", "read-only" | "standby" | "prefer-standby") => {
                return refuse("target_session_attrs: a server that takes writes is needed, use primary or read-write");
            }
            ("gssencmode", "disable" | "prefer") | ("load_balance_hosts", "disable") => {}
            ("keepalives_count", count) => passed.push(format!("keepalives_retries={count}")),
            // libpq counts milliseconds here, the driver seconds.
            ("tcp_user_timeout", ms) => match ms.parse::<u64>() {
                Ok(ms) => passed.push(format!("tcp_user_timeout={}", ms.div_ceil(1000))),
                Err(_) => return refuse("tcp_user_timeout is a number of milliseconds"),
            },
            (name, _) if SAME.contains(&name) => passed.push(parameter.to_owned()),
            ("load_balance_hosts", _) => {
                return refuse("load_balance_hosts: all hosts are asked at once, leave it out");
            }
            ("sslmode" | "target_session_attrs" | "gssencmode", value) => {
                return refuse(&format!("{name}={value} is not known"));
            }
            (name, _) => return refuse(&format!("the parameter {name} is not supported")),
        }
    }
    if roots.is_some() && !tls {
        return refuse("sslrootcert needs sslmode=verify-full");
    }
    let mut config: tokio_postgres::Config = format!("{base}?{}", passed.join("&")).parse().map_err(|error| {
        let source = std::error::Error::source(&error).map(|cause| cause.to_string());
        Error::Address(source.unwrap_or_else(|| "it is not a URL".into()))
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return refuse("it names no host");
    }
    config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_WITHIN);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED);
    }
    if !passed.iter().any(|parameter| parameter.starts_with("keepalives_idle=")) {
        config.keepalives_idle(PROBE_AFTER);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(PROBE_EVERY);
    }
    if config.get_application_name().is_none() {
        config.application_name("tieline");
    }
    let tls = if tls { Some(connector(roots.as_deref())?) } else { None };
    Ok(Address { hosts: one_by_one(&config)?, tls })
}

/// What an operator calls the host of one of [`Address::hosts`].
pub(super) fn name(config: &tokio_postgres::Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
        (Some(Host::Unix(path)), _) => format!("{}:{port}", path.display()),
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => "nowhere".into(),
    }
}

/// The same settings once for each host.
fn one_by_one(config: &tokio_postgres::Config) -> Result<Vec<tokio_postgres::Config>> {
    let (names, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = names.len().max(addresses.len());
    let fits = |given: usize| given <= 1 || given == count;
    if (!names.is_empty() && names.len() != count) || (!addresses.is_empty() && addresses.len() != count) {
        return refuse("it names as many hosts as hostaddrs, or only one of the two");
    }
    if !fits(ports.len()) {
        return refuse("it names one port, or one for each host");
    }
    let single = |at: usize| {
        let mut one = tokio_postgres::Config::new();
        match names.get(at) {
            Some(Host::Tcp(name)) => drop(one.host(name)),
            Some(Host::Unix(path)) => drop(one.host_path(path)),
            None => {}
        }
        addresses.get(at).map(|address| one.hostaddr(*address));
        ports.get(at).or(ports.first()).map(|port| one.port(*port));
        config.get_user().map(|user| one.user(user));
        config.get_password().map(|password| one.password(password));
        config.get_dbname().map(|name| one.dbname(name));
        config.get_options().map(|options| one.options(options));
        config.get_application_name().map(|name| one.application_name(name));
        config.get_connect_timeout().map(|within| one.connect_timeout(*within));
        config.get_tcp_user_timeout().map(|within| one.tcp_user_timeout(*within));
        config.get_keepalives_interval().map(|interval| one.keepalives_interval(interval));
        config.get_keepalives_retries().map(|retries| one.keepalives_retries(retries));
        one.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
        one.ssl_mode(config.get_ssl_mode()).channel_binding(config.get_channel_binding());
        one
    };
    Ok((0..count).map(single).collect())
}

fn refuse<T>(reason: &str) -> Result<T> {
    Err(Error::Address(reason.to_owned()))
}

/// Chain and name are checked, against the certificates of one file or of the machine.
fn connector(file: Option<&str>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    match file {
        None | Some("system") => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(file) => {
            let unreadable = |error: String| Error::Address(format!("sslrootcert {file}: {error}"));
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))? {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            }
        }
    }
    if roots.is_empty() {
        return refuse("there is no certificate to trust: name the server's with sslrootcert");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Address(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Undoes percent-encoding; what is no `%` and two hex digits stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        match (first, after.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_says_otherwise_is_mapped() {
        let address = parse(
            "postgresql://u:p%40ss@one:5433,two/desk?target_session_attrs=primary&sslmode=prefer&gssencmode=disable\
             &keepalives_count=4&tcp_user_timeout=1500&connect_timeout=9&keepalives_idle=77&application_name=desk",
        )
        .unwrap();
        assert!(address.tls.is_none());
        let hosts: Vec<_> = address.hosts.iter().map(|one| (one.get_hosts(), one.get_ports())).collect();
        let [one, two] = ["one", "two"].map(|name| [Host::Tcp(name.into())]);
        assert_eq!(hosts, [(&one[..], &[5433][..]), (&two, &[5432])]);
        let config = &address.hosts[1];
        assert_eq!(config.get_dbname(), Some("desk"));
        assert_eq!((config.get_user(), config.get_password()), (Some("u"), Some(&b"p@ss"[..])));
        assert_eq!(config.get_ssl_mode(), SslMode::Disable);
        assert_eq!(config.get_keepalives_retries(), Some(4));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(2)));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(9)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(77));
        assert_eq!(config.get_application_name(), Some("desk"));
    }

    #[test]
    fn silence_means_the_primary_and_bounded_waits() {
        let address = parse("postgres://localhost/desk").unwrap();
        let config = &address.hosts[0];
        assert!(address.tls.is_none());
        assert_eq!(config.get_connect_timeout(), Some(&CONNECT_WITHIN));
        assert_eq!(config.get_tcp_user_timeout(), Some(&UNACKNOWLEDGED));
        assert_eq!(config.get_keepalives_idle(), PROBE_AFTER);
        assert_eq!(config.get_application_name(), Some("tieline"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason_and_without_the_password() {
        let table = [
            ("mysql://u:secret@h/d", "postgres://"),
            ("postgres://u:secret@h/d?sslmode=verify-ca", "verify-full"),
            ("postgres://u:secret@h/d?sslmode=maybe", "sslmode=maybe is not known"),
            ("postgres://u:secret@h/d?sslmode=disable&sslrootcert=/x.pem", "needs sslmode=verify-full"),
            ("postgres://u:secret@h/d?sslmode=require&sslrootcert=/nowhere%2Fx.pem", "/nowhere/x.pem"),
            ("postgres://u:secret@h/d?sslcert=/x.pem", "client certificates"),
            ("postgres://u:secret@h/d?target_session_attrs=standby", "takes writes"),
            ("postgres://u:secret@h/d?service=desk", "the parameter service"),
            ("postgres://u:secret@h/d?tcp_user_timeout=soon", "milliseconds"),
            ("postgres://u:secret@h:many/d", "port"),
            ("postgres://u:secret@h/d?sslmode", "has no ="),
            ("postgres:///d", "no host"),
            ("postgres://u:secret@one,two/d?load_balance_hosts=random", "all hosts are asked at once"),
            ("postgres://u:secret@one,two/d?hostaddr=127.0.0.1", "as many hosts as hostaddrs"),
        ];
        for (url, reason) in table {
            match parse(url) {
                Err(Error::Address(said)) => {
                    assert!(said.contains(reason), "{url}: {said}");
                    assert!(!said.contains("secret") && !said.contains('\n'), "{url}: {said}");
                }
                Err(other) => panic!("{url}: {other}"),
                Ok(_) => panic!("{url} was taken"),
            }
        }
    }
}
