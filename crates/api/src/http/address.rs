//! Where a request comes from: the peer, or what a proxy that is trusted says of it.

use axum::extract::ConnectInfo;
use http::request::Parts;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Entries of `X-Forwarded-For` looked at, from the last on.
const FORWARDED_LIMIT: usize = 32;

/// Networks of proxies whose `X-Forwarded-For` is believed; empty believes nobody.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads networks (CIDR) and single addresses, separated by commas.
    ///
    /// Errors: what is neither, in words.
    pub fn parse(text: &str) -> Result<TrustedProxies, String> {
        let network = |one: &str| {
            let network = one.parse::<IpNet>().or_else(|_| one.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| format!("{one:?} is no network such as 10.0.0.0/8"))
        };
        let parts = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        Ok(TrustedProxies(parts.map(network).collect::<Result<_, _>>()?))
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the last one of `X-Forwarded-For` that is no trusted proxy's, if the peer is one; else the
    /// peer's. None for a request that came over no connection.
    pub fn client(&self, parts: &Parts) -> Option<IpAddr> {
        let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
        let mut client = peer.ip().to_canonical();
        if self.0.is_empty() || !self.holds(client) {
            return Some(client);
        }
        let lines = parts.headers.get_all("x-forwarded-for").into_iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or("").rsplit(','));
        for hop in hops.take(FORWARDED_LIMIT) {
            // What no address can be read from was not written by the proxy we trust: what came before it is hearsay.
            let Some(address) = address(hop.trim()) else { break };
            client = address;
            if !self.holds(client) {
                break;
            }
        }
        Some(client)
    }
}

/// An address, also with a port or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The network that one client has to itself: an IPv4 address, or 64 bits of an IPv6 address.
pub fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut request = Request::builder();
        for line in forwarded {
            request = request.header("x-forwarded-for", *line);
        }
        let (mut parts, _) = request.body(Body::empty()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        TrustedProxies::parse(trusted).unwrap().client(&parts).unwrap().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_as_far_as_it_saw() {
        for (trusted, peer, forwarded, expected) in [
            ("", "203.0.113.9:1", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.0/8", "203.0.113.9:1", &["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1:1", &[], "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.1:1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.0/8", "10.0.0.1:1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.0/8", "10.0.0.1:1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.0/8", "10.0.0.1:1", &["6.6.6.6", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            ("10.0.0.0/8", "10.0.0.1:1", &["6.6.6.6, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", "10.0.0.1:1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("::1/128, fd00::/8", "[::1]:1", &["[2001:db8::1]:80, fd00::5"], "2001:db8::1"),
            ("10.0.0.0/8", "[::ffff:10.0.0.1]:1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(client(trusted, peer, forwarded), expected, "{trusted} {peer} {forwarded:?}");
        }
        assert!(TrustedProxies::parse("10.0.0.0/8,proxy.local").unwrap_err().contains("proxy.local"));
    }

    #[test]
    fn a_household_is_an_address_or_64_bits() {
        for (address, expected) in [("198.51.100.1", "198.51.100.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")] {
            assert_eq!(household(address.parse().unwrap()).to_string(), expected);
        }
    }
}
