//! The guard in front of every outgoing request: a URL that a tenant typed must not become a way into our own network.
//!
//! Three checks, each enough to stop a request on its own. The URL as written: https, no credentials, and no address
//! literal of a forbidden kind in any spelling, because the URL standard's parser normalises them all before we look.
//! The name: resolved by us, once per connection, and *every* address of the answer must pass; the connection goes to a
//! checked address and nothing resolves again, so an answer that changes in between (DNS rebinding) changes nothing.
//! The address: IPv6 is allowed only inside the global unicast block less its special parts, so what we do not know is
//! refused. The operator opens it with `TIELINE_WEBHOOK_ALLOW_HOSTS` and `TIELINE_WEBHOOK_ALLOW_HTTP`.

use http::Uri;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::{
    fmt,
    future::pending,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use url::{Host, Position, Url};

/// Longest URL, in characters (contract D4.11).
pub const MAX_URL_CHARS: usize = 2048;
/// How long a name may take to resolve, waiting for a free slot included.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Name look-ups at once. The system's resolver blocks a thread for longer than we wait, so it needs a bound of its own.
pub const MAX_LOOKUPS: usize = 64;
/// Most entries of the allow-list.
pub const MAX_ALLOW_ENTRIES: usize = 256;
/// Most addresses of one answer that are looked at; an answer with more is refused, because all must pass.
pub const MAX_ADDRESSES: usize = 64;

const ALLOW_HOSTS: &str = "TIELINE_WEBHOOK_ALLOW_HOSTS";
const ALLOW_HTTP: &str = "TIELINE_WEBHOOK_ALLOW_HTTP";

/// Why a URL or an address is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Stable machine word: `invalid_url`, `url_too_long`, `url_has_credentials`, `scheme_not_allowed` or
    /// `address_not_allowed`.
    pub code: &'static str,
    /// A sentence for whoever typed the URL; names the setting where a setting is the remedy.
    pub detail: String,
}

fn refusal<T>(code: &'static str, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, detail: detail.into() })
}

/// A URL that passed [`EgressPolicy::check_url`]; only that makes one. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedUrl {
    uri: Uri,
}

impl CheckedUrl {
    /// The normalised URL: lower-case host, no fragment, no trailing dot.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// The operator's rules. The default opens nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    nets: Vec<IpNet>,
    names: Vec<String>,
    allow_http: bool,
}

impl EgressPolicy {
    /// Reads `TIELINE_WEBHOOK_ALLOW_HOSTS`: comma-separated addresses, CIDRs and names (`10.0.0.0/8, ::1, erp.internal`),
    /// empty for none. A name allows itself, not its subdomains. The error is a sentence that names the bad entry.
    pub fn parse(allow_hosts: &str, allow_http: bool) -> Result<EgressPolicy, String> {
        let mut policy = EgressPolicy { allow_http, ..EgressPolicy::default() };
        for entry in allow_hosts.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if policy.nets.len() + policy.names.len() == MAX_ALLOW_ENTRIES {
                return Err(format!("there are more than {MAX_ALLOW_ENTRIES} entries"));
            }
            if let Ok(net) = entry.parse::<IpNet>() {
                policy.nets.push(net);
            } else if let Ok(ip) = entry.parse::<IpAddr>() {
                policy.nets.push(ip.into());
            } else {
                match Host::parse(entry) {
                    Ok(Host::Domain(name)) if is_plain_name(bare(&name)) => policy.names.push(bare(&name).to_owned()),
                    _ => {
                        return Err(format!(
                            "{entry:?} is neither an address (10.1.2.3), nor a CIDR (10.0.0.0/8), nor a \
                             name (erp.internal); leave out scheme, port and wildcards"
                        ));
                    }
                }
            }
        }
        Ok(policy)
    }

    /// Checks a URL as written, without touching the network. What passes may still resolve to a forbidden address.
    pub fn check_url(&self, text: &str) -> Result<CheckedUrl, Refusal> {
        if text.chars().count() > MAX_URL_CHARS {
            return refusal("url_too_long", format!("The URL is longer than {MAX_URL_CHARS} characters."));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refusal("invalid_url", "The URL holds a space, a line break or a control character.");
        }
        let Ok(mut url) = Url::parse(text) else {
            return refusal("invalid_url", "This is not a complete URL such as https://example.com/hook.");
        };
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => {
                return refusal(
                    "scheme_not_allowed",
                    format!("The URL must use https; {ALLOW_HTTP}=true allows http."),
                );
            }
            _ if self.allow_http => return refusal("scheme_not_allowed", "The URL must use https or http."),
            _ => return refusal("scheme_not_allowed", "The URL must use https."),
        }
        // The URL standard also reads `https:host` and `https:///host`; nobody means that.
        let after_scheme = text[url.scheme().len()..].strip_prefix("://").unwrap_or_default();
        if after_scheme.is_empty() || after_scheme.starts_with(['/', '\\']) {
            return refusal("invalid_url", "The URL must start with https:// and a host.");
        }
        let authority = after_scheme.split(['/', '\\', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return refusal("url_has_credentials", "The URL must not hold a user name or password.");
        }
        if url.port() == Some(0) {
            return refusal("invalid_url", "Port 0 does not exist.");
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check_addr(ip.into())?,
            Some(Host::Ipv6(ip)) => self.check_addr(ip.into())?,
            Some(Host::Domain(name)) => {
                let name = bare(name).to_owned();
                if !is_plain_name(&name) {
                    return refusal("invalid_url", "The URL's host is not a valid name.");
                }
                if is_localhost(&name) && self.localhost(&name).is_empty() {
                    return refusal(
                        "address_not_allowed",
                        format!("{name} is this machine. Add it to {ALLOW_HOSTS} to allow it."),
                    );
                }
                // Without its dots a name can turn out to be a number, and so an address: `1..` is 0.0.0.1.
                let still_a_name = url.set_host(Some(&name)).is_ok() && matches!(url.host(), Some(Host::Domain(_)));
                if !still_a_name {
                    return refusal("invalid_url", "The URL's host is not a valid name.");
                }
            }
            None => return refusal("invalid_url", "The URL has no host."),
        }
        match url[..Position::AfterQuery].parse::<Uri>() {
            Ok(uri) => Ok(CheckedUrl { uri }),
            Err(_) => refusal("invalid_url", "The URL holds a character that must be percent-encoded."),
        }
    }

    /// Checks one address. Mapped IPv4 addresses (`::ffff:10.0.0.1`) are judged as the IPv4 address they reach.
    pub fn check_addr(&self, ip: IpAddr) -> Result<(), Refusal> {
        match self.forbidden(ip) {
            None => Ok(()),
            Some(kind) => refusal(
                "address_not_allowed",
                format!("The address {ip} is {kind}. Add it to {ALLOW_HOSTS} to allow it."),
            ),
        }
    }

    fn forbidden(&self, ip: IpAddr) -> Option<&'static str> {
        let reached = ip.to_canonical();
        if self.nets.iter().any(|net| net.contains(&ip) || net.contains(&reached)) {
            return None;
        }
        match reached {
            IpAddr::V4(ip) => kind_of_v4(ip),
            IpAddr::V6(ip) => kind_of_v6(ip),
        }
    }

    fn names(&self, name: &str) -> bool {
        self.names.iter().any(|allowed| allowed == name)
    }

    /// What `localhost` names stand for (RFC 6761: never asked of DNS), as far as it is allowed.
    fn localhost(&self, name: &str) -> Vec<IpAddr> {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        both.into_iter().filter(|ip| self.names(name) || self.forbidden(*ip).is_none()).collect()
    }
}

/// A name without its root dots.
fn bare(name: &str) -> &str {
    name.trim_end_matches('.')
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Letters, digits, hyphens and underscores between dots. The URL standard lets more through; a resolver should not see it.
fn is_plain_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(label)
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}
const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

const METADATA: &str = "a cloud's metadata service";
const PRIVATE: &str = "private";
const LINK_LOCAL: &str = "link-local";
const RESERVED: &str = "reserved";
const DOCUMENTATION: &str = "for documentation only";
const TRANSLATED: &str = "an IPv4 address in an IPv6 tunnel or translation";

/// IANA's special-purpose registry for IPv4, first match wins; the rest is public.
static V4: [(Ipv4Net, &str); 19] = [
    (v4(169, 254, 169, 254, 32), METADATA),
    (v4(100, 100, 100, 200, 32), METADATA),
    (v4(168, 63, 129, 16, 32), METADATA), // Azure's, on a public address
    (v4(0, 0, 0, 0, 8), "unspecified"),
    (v4(10, 0, 0, 0, 8), PRIVATE),
    (v4(100, 64, 0, 0, 10), "shared by a carrier (CGNAT)"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), LINK_LOCAL),
    (v4(172, 16, 0, 0, 12), PRIVATE),
    (v4(192, 0, 0, 0, 24), RESERVED),
    (v4(192, 0, 2, 0, 24), DOCUMENTATION),
    (v4(192, 88, 99, 0, 24), RESERVED), // 6to4 relays
    (v4(192, 168, 0, 0, 16), PRIVATE),
    (v4(198, 18, 0, 0, 15), "for benchmarks only"),
    (v4(198, 51, 100, 0, 24), DOCUMENTATION),
    (v4(203, 0, 113, 0, 24), DOCUMENTATION),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), RESERVED),
];

/// Kinds of IPv6 addresses that get a word of their own, first match wins.
static V6: [(Ipv6Net, &str); 16] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "unspecified"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128), METADATA),
    (v6(0, 0, 0, 32), TRANSLATED), // IPv4-compatible and IPv4-translated (::ffff:0:a.b.c.d)
    (v6(0x64, 0xff9b, 0, 96), TRANSLATED),
    (v6(0x64, 0xff9b, 1, 48), TRANSLATED),
    (v6(0x2001, 0, 0, 32), TRANSLATED), // Teredo
    (v6(0x2002, 0, 0, 16), TRANSLATED), // 6to4
    (v6(0x2001, 0x2, 0, 48), "for benchmarks only"),
    (v6(0x2001, 0, 0, 23), RESERVED), // protocol assignments: ORCHID, AMT, AS112 …
    (v6(0x2001, 0xdb8, 0, 32), DOCUMENTATION),
    (v6(0x3fff, 0, 0, 20), DOCUMENTATION),
    (v6(0xfc00, 0, 0, 7), PRIVATE),
    (v6(0xfe80, 0, 0, 10), LINK_LOCAL),
    (v6(0xfec0, 0, 0, 10), PRIVATE),
    (v6(0xff00, 0, 0, 8), "multicast"),
];

/// All that IANA has given out as global unicast so far.
static GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

fn kind_of_v4(ip: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, kind)| *kind)
}

fn kind_of_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let named = V6.iter().find(|(net, _)| net.contains(&ip)).map(|(_, kind)| *kind);
    named.or_else(|| (!GLOBAL_V6.contains(&ip)).then_some(RESERVED))
}

/// What a name resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These addresses; empty when the name does not exist.
    Addresses(Vec<IpAddr>),
    /// No answer, ever.
    Silence,
}

/// Where names are resolved.
#[derive(Clone)]
pub enum Resolver {
    /// The system's, as other programs of this machine see names.
    System,
    /// A function of the caller, for tests: a table, or answers that change.
    Fixed(Arc<dyn Fn(&str) -> Answer + Send + Sync>),
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resolver::System => "System",
            Resolver::Fixed(_) => "Fixed",
        })
    }
}

/// Why there is no address to connect to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// An address of the answer is forbidden.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name does not exist, or the resolver failed.
    #[error("The name {0} does not resolve.")]
    NotFound(String),
    /// No answer within [`RESOLVE_TIMEOUT`].
    #[error("The name {0} did not resolve within 2 s.")]
    TimedOut(String),
}

/// Policy and resolver together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    policy: Arc<EgressPolicy>,
    resolver: Resolver,
    lookups: Arc<Semaphore>,
}

impl Guard {
    /// A guard over a policy and a resolver.
    pub fn new(policy: EgressPolicy, resolver: Resolver) -> Guard {
        Guard { policy: Arc::new(policy), resolver, lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }

    /// The rules.
    pub fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    /// Checks a URL that is about to be stored. A name that does not resolve now is accepted: each attempt checks again.
    pub async fn check_at_save(&self, text: &str) -> Result<CheckedUrl, Refusal> {
        let url = self.policy.check_url(text)?;
        match self.resolve(&url).await {
            Err(ResolveError::Refused(refusal)) => Err(refusal),
            Err(ResolveError::NotFound(_) | ResolveError::TimedOut(_)) | Ok(_) => Ok(url),
        }
    }

    /// The addresses of a URL's host, every one of them allowed; never empty.
    pub async fn resolve(&self, url: &CheckedUrl) -> Result<Vec<SocketAddr>, ResolveError> {
        self.resolve_uri(&url.uri).await
    }

    pub(crate) async fn resolve_uri(&self, uri: &Uri) -> Result<Vec<SocketAddr>, ResolveError> {
        let port = uri.port_u16().unwrap_or(if uri.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 });
        let host = uri.host().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let found = match literal {
            Ok(ip) => vec![ip],
            Err(_) if is_localhost(host) => self.policy.localhost(host),
            Err(_) => timeout(RESOLVE_TIMEOUT, self.lookup(host))
                .await
                .map_err(|_| ResolveError::TimedOut(host.to_owned()))?,
        };
        if found.is_empty() {
            return Err(ResolveError::NotFound(host.to_owned()));
        }
        if found.len() > MAX_ADDRESSES {
            return Err(Refusal {
                code: "address_not_allowed",
                detail: format!("The name {host} has more than {MAX_ADDRESSES} addresses."),
            }
            .into());
        }
        if !self.policy.names(host) {
            for ip in &found {
                if literal.is_ok() {
                    self.policy.check_addr(*ip)?;
                } else if let Some(kind) = self.policy.forbidden(*ip) {
                    // Without the address: what a private name resolves to is nobody's business who may not reach it.
                    let detail = format!(
                        "The name {host} resolves to an address that is {kind}. Add the name to {ALLOW_HOSTS} to allow it."
                    );
                    return Err(Refusal { code: "address_not_allowed", detail }.into());
                }
            }
        }
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    async fn lookup(&self, name: &str) -> Vec<IpAddr> {
        match &self.resolver {
            Resolver::Fixed(answer) => match answer(name) {
                Answer::Addresses(found) => found,
                Answer::Silence => pending().await,
            },
            Resolver::System => {
                let permit = self.lookups.clone().acquire_owned().await;
                let name = name.to_owned();
                let found = spawn_blocking(move || {
                    let _held_until_the_resolver_returns = permit;
                    (name.as_str(), 0)
                        .to_socket_addrs()
                        .map(|found| found.map(|a| a.ip()).collect())
                        .unwrap_or_default()
                });
                found.await.unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests;
