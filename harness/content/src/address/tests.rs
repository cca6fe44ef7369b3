//! Address classes at the edges of every range, and policies.

use proptest::prelude::*;

use super::*;

fn host(name: &str) -> HostName {
    HostName::parse(name).expect("a valid host name")
}

#[test]
fn every_special_range_is_classified_at_both_ends_and_public_just_outside() {
    // (first, last, class); the neighbours are tested where they are public.
    let ranges: &[(&str, &str, AddressClass)] = &[
        ("0.0.0.0", "0.255.255.255", AddressClass::Unspecified),
        ("10.0.0.0", "10.255.255.255", AddressClass::Private),
        (
            "100.64.0.0",
            "100.127.255.255",
            AddressClass::SharedAddressSpace,
        ),
        ("127.0.0.0", "127.255.255.255", AddressClass::Loopback),
        ("169.254.0.0", "169.254.255.255", AddressClass::LinkLocal),
        ("172.16.0.0", "172.31.255.255", AddressClass::Private),
        ("192.0.0.0", "192.0.0.255", AddressClass::Reserved),
        ("192.0.2.0", "192.0.2.255", AddressClass::Documentation),
        ("192.88.99.0", "192.88.99.255", AddressClass::Transition),
        ("192.168.0.0", "192.168.255.255", AddressClass::Private),
        ("198.18.0.0", "198.19.255.255", AddressClass::Benchmarking),
        (
            "198.51.100.0",
            "198.51.100.255",
            AddressClass::Documentation,
        ),
        ("203.0.113.0", "203.0.113.255", AddressClass::Documentation),
        ("224.0.0.0", "239.255.255.255", AddressClass::Multicast),
        ("240.0.0.0", "255.255.255.255", AddressClass::Reserved),
        ("::", "::", AddressClass::Unspecified),
        ("::1", "::1", AddressClass::Loopback),
        ("::2", "::ffff:ffff", AddressClass::Ipv4InIpv6),
        (
            "::ffff:0.0.0.0",
            "::ffff:255.255.255.255",
            AddressClass::Ipv4InIpv6,
        ),
        (
            "64:ff9b::10.0.0.0",
            "64:ff9b::10.255.255.255",
            AddressClass::Private,
        ),
        (
            "64:ff9b:1::",
            "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Transition,
        ),
        ("100::", "100::ffff:ffff:ffff:ffff", AddressClass::Reserved),
        (
            "2001::",
            "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Transition,
        ),
        (
            "2001:2::",
            "2001:2:0:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Benchmarking,
        ),
        (
            "2001:3::",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Reserved,
        ),
        (
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Documentation,
        ),
        (
            "2002::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Transition,
        ),
        (
            "3fff::",
            "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Documentation,
        ),
        (
            "5f00::",
            "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Reserved,
        ),
        (
            "fc00::",
            "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::UniqueLocal,
        ),
        (
            "fe80::",
            "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::LinkLocal,
        ),
        (
            "fec0::",
            "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::UniqueLocal,
        ),
        (
            "ff00::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            AddressClass::Multicast,
        ),
    ];
    for (first, last, class) in ranges {
        for address in [first, last] {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(AddressClass::of(address), *class, "{address}");
            assert_eq!(
                AddressPolicy::public_only()
                    .check(&host("x.example"), address)
                    .is_ok(),
                *class == AddressClass::Documentation,
                "{address}"
            );
        }
    }
    let public = [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.1",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.1",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "64:ff9b::1.1.1.1",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "2606:4700::1111",
        "3fff:1000::",
        "fbff::",
    ];
    for address in public {
        let address: IpAddr = address.parse().expect("an address");
        assert_eq!(AddressClass::of(address), AddressClass::Public, "{address}");
    }
}

#[test]
fn a_policy_names_networks_and_hosts() {
    let policy: AddressPolicy = "127.0.0.1, fd00::/8,mirror.corp.example"
        .parse()
        .expect("a policy");
    let check = |name: &str, address: &str| {
        policy
            .check(&host(name), address.parse().expect("an address"))
            .is_ok()
    };
    assert!(check("anything.example", "127.0.0.1"));
    assert!(!check("anything.example", "127.0.0.2"));
    assert!(check("anything.example", "fd12::1"));
    assert!(!check("anything.example", "fc12::1"));
    assert!(check("mirror.corp.example", "10.1.2.3"));
    assert!(!check("other.corp.example", "10.1.2.3"));
    assert!(
        !check("mirror.corp.example", "169.254.169.254"),
        "a named host never reaches metadata services"
    );
    assert!(!check("mirror.corp.example", "127.0.0.2"));
    assert!(!check("mirror.corp.example", "::ffff:10.1.2.3"));
    for bad in [
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0/8",
        "a b",
        "10.0.0.0/",
        "fd00::/129",
        "127.1",
        "0x7f000001",
    ] {
        assert!(bad.parse::<AddressPolicy>().is_err(), "{bad}");
    }
}

#[test]
fn only_the_allowed_of_several_addresses_remain() {
    let resolved = |list: &[&str]| {
        list.iter()
            .map(|a| a.parse().expect("an address"))
            .collect::<Vec<SocketAddr>>()
    };
    let policy = AddressPolicy::public_only();
    let mixed = resolved(&["127.0.0.1:80", "1.1.1.1:80"]);
    assert_eq!(
        policy
            .filter(&host("x.example"), &mixed)
            .expect("one is public"),
        resolved(&["1.1.1.1:80"])
    );
    let refusal = policy
        .filter(&host("x.example"), &mixed[..1])
        .expect_err("loopback");
    assert_eq!(
        refusal.to_string(),
        "`x.example` is at 127.0.0.1, which is a loopback address: refused"
    );
}

proptest! {
    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_never_public(bits: u32) {
        let mapped = Ipv4Addr::from_bits(bits).to_ipv6_mapped();
        prop_assert_eq!(AddressClass::of(mapped.into()), AddressClass::Ipv4InIpv6);
    }

    #[test]
    fn the_standard_library_never_calls_private_what_is_public_here(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let special = address.is_private() || address.is_loopback() || address.is_link_local()
            || address.is_multicast() || address.is_unspecified() || address.is_broadcast()
            || address.is_documentation();
        prop_assert!(!special || AddressClass::of(address.into()) != AddressClass::Public);
    }

    #[test]
    fn the_standard_library_agrees_on_ipv6(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        let special = address.is_loopback() || address.is_multicast() || address.is_unspecified()
            || address.is_unique_local() || address.is_unicast_link_local();
        prop_assert!(!special || AddressClass::of(address.into()) != AddressClass::Public);
    }

    #[test]
    fn a_network_contains_what_shares_its_prefix(bits: u32, other: u32, prefix in 0u8..=32) {
        let network: Network = format!("{}/{prefix}", Ipv4Addr::from_bits(bits)).parse().expect("a network");
        let same = (0..u32::from(prefix)).all(|bit| (bits ^ other) >> (31 - bit) & 1 == 0);
        prop_assert_eq!(network.contains(Ipv4Addr::from_bits(other).into()), same);
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = text.parse::<AddressPolicy>();
    }
}
