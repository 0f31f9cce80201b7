//! Tests of `egress.rs`.

use super::*;
use proptest::prelude::*;

fn policy(allow: &str, http: bool) -> EgressPolicy {
    EgressPolicy::parse(allow, http).unwrap()
}
fn code(policy: &EgressPolicy, url: &str) -> &'static str {
    policy.check_url(url).err().map_or("ok", |refusal| refusal.code)
}

#[test]
fn urls() {
    let closed = EgressPolicy::default();
    let long = format!("https://example.com/{}", "a".repeat(MAX_URL_CHARS - 20));
    for (url, expected) in [
        ("https://example.com/hook", "ok"),
        ("HTTPS://EXAMPLE.com:8443/hook?a=b&c=%20#frag", "ok"),
        ("https://bücher.example/", "ok"),
        ("https://example.com./hook", "ok"),
        ("https://sub_domain.example.com/", "ok"),
        ("https://8.8.8.8/", "ok"),
        ("https://[2606:4700::1111]/", "ok"),
        ("https://example.com/a|b^c{d}`e\"f", "ok"),
        ("https://example.com/path@with/at?x=a@b", "ok"),
        ("https://localhost.example.com/", "ok"),
        (&long, "ok"),
        (&format!("{long}a"), "url_too_long"),
        ("http://example.com/", "scheme_not_allowed"),
        ("ftp://example.com/", "scheme_not_allowed"),
        ("file:///etc/passwd", "scheme_not_allowed"),
        ("javascript:alert(1)", "scheme_not_allowed"),
        ("gopher://example.com/", "scheme_not_allowed"),
        ("", "invalid_url"),
        ("example.com/hook", "invalid_url"),
        ("//example.com", "invalid_url"),
        ("https://", "invalid_url"),
        ("https:example.com", "invalid_url"),
        ("https:/example.com", "invalid_url"),
        ("https:///example.com", "invalid_url"),
        ("https://\\example.com", "invalid_url"),
        ("https://exam ple.com/", "invalid_url"),
        ("https://example.com/\r\nX: y", "invalid_url"),
        ("https://1../", "invalid_url"),
        ("https://①。。/", "invalid_url"),
        ("https://0x7f000001../", "invalid_url"),
        ("ht\ntps://example.com/", "invalid_url"),
        ("https://exa\tmple.com/", "invalid_url"),
        ("https://example.com:0/", "invalid_url"),
        ("https://example.com:99999/", "invalid_url"),
        ("https://exa!mple.com/", "invalid_url"),
        ("https://a..b/", "invalid_url"),
        ("https://./", "invalid_url"),
        ("https://[fe80::1%25eth0]/", "invalid_url"),
        ("https://[fe80::1%eth0]/", "invalid_url"),
        ("https://[::1/", "invalid_url"),
        ("https://1.2.3.4.5/", "invalid_url"),
        ("https://256.1.1.1/", "invalid_url"),
        ("https://user@example.com/", "url_has_credentials"),
        ("https://user:pw@example.com/", "url_has_credentials"),
        ("https://@example.com/", "url_has_credentials"),
        ("https://:@example.com/", "url_has_credentials"),
        ("https://example.com@127.0.0.1/", "url_has_credentials"),
        ("https://127.0.0.1\\@example.com/", "address_not_allowed"),
        ("https://localhost/", "address_not_allowed"),
        ("https://LOCALHOST./", "address_not_allowed"),
        ("https://api.localhost/", "address_not_allowed"),
        ("https://localhost../", "address_not_allowed"),
    ] {
        assert_eq!(code(&closed, url), expected, "{url:?}");
    }
}

#[test]
fn the_checked_url_is_what_will_be_asked() {
    let closed = EgressPolicy::default();
    for (url, expected) in [
        ("HTTPS://Example.COM./a/../b?q=ü#frag", "https://example.com/b?q=%C3%BC"),
        ("https://bücher.example:443", "https://xn--bcher-kva.example/"),
        ("https://0x08.8.8.8:8443/x", "https://8.8.8.8:8443/x"),
        ("https://example.com\\@evil.example/", "https://example.com/@evil.example/"),
    ] {
        assert_eq!(closed.check_url(url).unwrap().uri().to_string(), expected, "{url}");
    }
}

/// Hosts that all mean somewhere we do not go, in every spelling known to us.
#[rustfmt::skip]
const FORBIDDEN_HOSTS: &[&str] = &[
    // loopback as dotted, short, decimal, octal, hexadecimal, mixed, with dots and in other scripts
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0x7f.1", "0177.0.0.1",
    "0X7F.0.0.0x1", "127.0.0.1.", "127.255.255.254", "00000177.1", "%31%32%37.0.0.1", "127%2e0%2e0%2e1",
    "１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000::0001]",
    // unspecified
    "0", "0.0.0.0", "0x0", "00.0", "[::]", "0.1.2.3",
    // private, CGNAT, link-local, metadata
    "10.0.0.1", "10.1", "167772161", "172.16.0.1", "172.31.255.255", "192.168.1.1", "3232235777", "0xc0a80101",
    "100.64.0.1", "100.127.255.255", "100.100.100.200", "169.254.0.1", "169.254.169.254", "2852039166",
    "0xa9fea9fe", "0251.0376.0251.0376", "168.63.129.16", "[fd00:ec2::254]", "[fc00::1]", "[fdff:ffff::1]",
    "[fe80::1]", "[febf::1]", "[fec0::1]",
    // documentation, benchmarks, reserved, multicast, broadcast
    "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "4294967295", "[2001:db8::1]", "[3fff::1]",
    "[2001:2::1]", "[ff02::1]", "[2001:10::1]", "[100::1]", "[5f00::1]", "[4000::1]",
    // IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::FFFF:A9FE:A9FE]",
    "[0:0:0:0:0:ffff:192.168.0.1]", "[::127.0.0.1]", "[::8.8.8.8]", "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::8.8.8.8]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:808:808::1]",
    "[2001:0:7f00:1::]",
];

#[test]
fn forbidden_addresses_in_every_spelling() {
    assert!(FORBIDDEN_HOSTS.len() >= 40);
    let closed = EgressPolicy::default();
    for host in FORBIDDEN_HOSTS {
        for url in [format!("https://{host}/"), format!("https://{host}:8443/x?y")] {
            let refusal = closed.check_url(&url).expect_err(&url);
            assert_eq!(refusal.code, "address_not_allowed", "{url}");
            assert!(refusal.detail.contains(ALLOW_HOSTS), "{url}: {refusal}");
        }
    }
}

#[test]
fn public_neighbours_of_forbidden_blocks_pass() {
    let closed = EgressPolicy::default();
    #[rustfmt::skip]
    let neighbours = [
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
        "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255",
        "223.255.255.255", "168.63.129.17", "2000::1", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1",
        "2003::1", "3ffe::1", "2606:4700::1111", "::ffff:8.8.8.8",
    ];
    for ip in neighbours {
        assert_eq!(closed.check_addr(ip.parse().unwrap()), Ok(()), "{ip}");
    }
}

#[test]
fn the_kind_is_named() {
    for (ip, kind) in [
        ("169.254.169.254", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("255.255.255.255", "broadcast"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("100.64.0.1", "CGNAT"),
        ("64:ff9b::1", "translation"),
        ("fe80::1", "link-local"),
    ] {
        let refusal = EgressPolicy::default().check_addr(ip.parse().unwrap()).unwrap_err();
        assert!(refusal.detail.contains(kind), "{ip}: {refusal}");
    }
}

#[test]
fn the_allow_list_opens_what_it_names_and_no_more() {
    let open = policy(" 127.0.0.0/8, 10.1.2.3 ,fd00::/8,Erp.Internal., bücher.example,, 64:ff9b::/96", true);
    for (url, expected) in [
        ("http://127.0.0.1:9000/", "ok"),
        ("http://[::ffff:127.0.0.1]/", "ok"),
        ("https://2130706433/", "ok"),
        ("http://localhost:9000/", "ok"),
        ("http://api.localhost/", "ok"),
        ("https://10.1.2.3/", "ok"),
        ("https://[fd12::1]/", "ok"),
        ("https://[64:ff9b::808:808]/", "ok"),
        ("https://10.1.2.4/", "address_not_allowed"),
        ("https://[::1]/", "address_not_allowed"),
        ("https://192.168.0.1/", "address_not_allowed"),
        ("http://user@127.0.0.1/", "url_has_credentials"),
    ] {
        assert_eq!(code(&open, url), expected, "{url}");
    }
    assert_eq!(code(&policy("localhost", true), "http://localhost:1/"), "ok");
    assert_eq!(code(&policy("localhost", true), "http://127.0.0.1:1/"), "address_not_allowed");
    assert_eq!(code(&policy("localhost", false), "http://localhost:1/"), "scheme_not_allowed");
    let other = |http| policy("", http).check_url("ftp://example.com/").unwrap_err().detail;
    assert_eq!((&*other(false), &*other(true)), ("The URL must use https.", "The URL must use https or http."));
    assert_eq!(code(&policy("10.0.0.0/8", false), "https://localhost/"), "address_not_allowed");
    assert_eq!(policy("", false), EgressPolicy::default());
    assert_eq!(policy("Erp.Internal.,bücher.example", false).names, ["erp.internal", "xn--bcher-kva.example"]);
}

#[test]
fn http_is_named_as_a_setting_where_it_is_the_remedy() {
    let refusal = EgressPolicy::default().check_url("http://example.com/").unwrap_err();
    assert!(refusal.detail.contains(ALLOW_HTTP), "{refusal}");
}

#[test]
fn a_bad_allow_list_is_refused_with_the_entry() {
    for bad in [
        "https://erp.internal",
        "erp.internal:443",
        "*.internal",
        "10.0.0.0/33",
        "*",
        "a b",
        "[::1]",
        "10.0.0",
        "erp/x",
        "user@erp",
    ] {
        let error = EgressPolicy::parse(&format!("10.0.0.0/8,{bad}"), false).expect_err(bad);
        assert!(error.contains(&format!("{bad:?}")), "{error}");
    }
    assert!(EgressPolicy::parse(&"a,".repeat(MAX_ALLOW_ENTRIES), false).is_ok());
    assert!(EgressPolicy::parse(&"a,".repeat(MAX_ALLOW_ENTRIES + 1), false).is_err());
}

fn table(name: &str) -> Answer {
    let ips = |list: &[&str]| Answer::Addresses(list.iter().map(|ip| ip.parse().unwrap()).collect());
    match name {
        "public.example" => ips(&["93.184.216.34", "2606:4700::1111"]),
        "private.example" => ips(&["10.0.0.5"]),
        "mixed.example" => ips(&["93.184.216.34", "127.0.0.1"]),
        "mixed6.example" => ips(&["93.184.216.34", "::ffff:169.254.169.254"]),
        "nat64.example" => ips(&["64:ff9b::a00:5"]),
        "erp.internal" => ips(&["10.0.0.5", "fd00::5"]),
        "crowd.example" => Answer::Addresses(vec![Ipv4Addr::new(8, 8, 8, 8).into(); MAX_ADDRESSES + 1]),
        "silent.example" => Answer::Silence,
        _ => Answer::Addresses(vec![]),
    }
}
fn guard(allow: &str) -> Guard {
    Guard::new(policy(allow, true), Resolver::Fixed(Arc::new(table)))
}

/// Paused time moves on by itself when nothing else can happen, so the silent name costs no real wait.
#[tokio::test(start_paused = true)]
async fn every_address_of_a_name_must_pass() {
    let (closed, open) = (guard(""), guard("erp.internal,10.0.0.5"));
    for (guard, url, expected) in [
        (&closed, "https://public.example/", "93.184.216.34:443 [2606:4700::1111]:443"),
        (&closed, "http://public.example:8080/", "93.184.216.34:8080 [2606:4700::1111]:8080"),
        (&closed, "http://8.8.8.8/", "8.8.8.8:80"),
        (&closed, "https://[2606:4700::1]/", "[2606:4700::1]:443"),
        (&closed, "https://private.example/", "address_not_allowed"),
        (&closed, "https://mixed.example/", "address_not_allowed"),
        (&closed, "https://mixed6.example/", "address_not_allowed"),
        (&closed, "https://nat64.example/", "address_not_allowed"),
        (&closed, "https://crowd.example/", "address_not_allowed"),
        (&closed, "https://erp.internal/", "address_not_allowed"),
        (&open, "https://erp.internal/", "10.0.0.5:443 [fd00::5]:443"),
        (&open, "https://private.example/", "10.0.0.5:443"),
        (&open, "https://sub.erp.internal/", "not found"),
        (&open, "https://mixed.example/", "address_not_allowed"),
        (&guard("127.0.0.1"), "http://localhost:9/", "127.0.0.1:9"),
        (&guard("localhost"), "http://localhost:9/", "127.0.0.1:9 [::1]:9"),
        (&closed, "https://missing.example/", "not found"),
        (&closed, "https://silent.example/", "timed out"),
    ] {
        let seen = match guard.resolve(&guard.policy().check_url(url).unwrap()).await {
            Ok(found) => found.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" "),
            Err(ResolveError::Refused(refusal)) => {
                assert!(!refusal.detail.contains("10.0.0.5"), "{refusal}");
                refusal.code.to_owned()
            }
            Err(ResolveError::NotFound(_)) => "not found".to_owned(),
            Err(ResolveError::TimedOut(_)) => "timed out".to_owned(),
        };
        assert_eq!(seen, expected, "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_resolve_is_accepted_at_save() {
    let closed = guard("");
    for (url, expected) in [
        ("https://public.example/", "ok"),
        ("https://missing.example/", "ok"),
        ("https://silent.example/", "ok"),
        ("https://private.example/", "address_not_allowed"),
        ("https://mixed.example/", "address_not_allowed"),
        ("https://10.0.0.1/", "address_not_allowed"),
        ("ftp://public.example/", "scheme_not_allowed"),
    ] {
        let seen = closed.check_at_save(url).await.err().map_or("ok", |refusal| refusal.code);
        assert_eq!(seen, expected, "{url}");
    }
}

#[tokio::test]
async fn the_system_resolver_answers_and_gives_its_slot_back() {
    let guard = Guard::new(EgressPolicy::default(), Resolver::System);
    // A numeric name needs no network: the system's resolver reads it as an address.
    assert_eq!(guard.lookup("127.0.0.1").await, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    assert_eq!(guard.lookups.available_permits(), MAX_LOOKUPS);
}

proptest! {
    #[test]
    fn no_text_panics_or_slips_through(text in "(https?://)?[ -~①。é]{0,40}") {
        let closed = EgressPolicy::default();
        if let Ok(url) = closed.check_url(&text) {
            prop_assert_eq!(url.uri().scheme_str(), Some("https"));
            // What was accepted is accepted again in its normal form, and stays the same.
            prop_assert_eq!(closed.check_url(&url.uri().to_string()), Ok(url));
        }
    }

    #[test]
    fn every_spelling_of_an_ipv4_address_gets_the_same_verdict(bits in any::<u32>()) {
        let closed = EgressPolicy::default();
        let ip = Ipv4Addr::from(bits);
        let [a, b, c, d] = ip.octets();
        let verdict = closed.check_addr(ip.into()).is_ok();
        let low = u32::from(c) << 8 | u32::from(d);
        for host in [
            format!("{ip}"), format!("{ip}."), format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}"),
            format!("{a}.{b}.{low}"), format!("{a:#x}.0{b:o}.{c}.{d}"), format!("[::ffff:{ip}]"),
        ] {
            prop_assert_eq!(closed.check_url(&format!("https://{host}/")).is_ok(), verdict, "{}", host);
        }
    }

    #[test]
    fn no_ipv4_address_hides_in_ipv6(bits in any::<u32>()) {
        let closed = EgressPolicy::default();
        let (hi, lo) = ((bits >> 16) as u16, bits as u16);
        for ip in [
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, hi, lo),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, hi, lo),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, hi, lo),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, hi, lo),
            Ipv6Addr::new(0x2002, hi, lo, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, hi, lo, 0, 0, 0, 1),
        ] {
            prop_assert!(closed.check_addr(ip.into()).is_err(), "{}", ip);
        }
    }
}
