//! Which internet addresses may be reached: the classes of special addresses and the policy over them.
//!
//! The policy is asked about the very address a connection is made to, after name resolution, so a
//! name that resolves to something else the second time (DNS rebinding) gains nothing. Nothing here
//! resolves or connects: [`crate::fetch`] and [`crate::proxy`] do, with the answers given here.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use crate::url::HostName;

/// Which addresses a connection may be made to.
///
/// Public addresses always may. A special address (see [`AddressClass`]) may only when its network
/// was named, or when the host being resolved was named. A named host never reaches loopback,
/// link-local, multicast or unspecified addresses: those need their network named.
///
/// The text form is a comma-separated list of networks (`10.1.0.0/16`, `fd00::/8`, `127.0.0.1`) and
/// host names (`mirror.corp.example`); nothing is public-only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    networks: BTreeSet<Network>,
    hosts: BTreeSet<HostName>,
}

impl AddressPolicy {
    /// Public addresses only.
    #[must_use]
    pub fn public_only() -> Self {
        Self::default()
    }

    /// The same policy, with a special network allowed.
    #[must_use]
    pub fn allow_network(mut self, network: Network) -> Self {
        self.networks.insert(network);
        self
    }

    /// The same policy, with a host allowed to live at a private address.
    #[must_use]
    pub fn allow_host(mut self, host: HostName) -> Self {
        self.hosts.insert(host);
        self
    }

    /// Whether a connection to `address`, found by resolving `host`, may be made.
    ///
    /// # Errors
    /// The address is special and neither it nor the host was named.
    pub fn check(&self, host: &HostName, address: IpAddr) -> Result<(), RefusedAddress> {
        let class = AddressClass::of(address);
        // An address for documentation belongs to nobody's network (RFC 5737 3: "not routed"), so
        // refusing it protects nothing; gateways that stand in for the internet hand them out.
        let allowed = matches!(class, AddressClass::Public | AddressClass::Documentation)
            || self
                .networks
                .iter()
                .any(|network| network.contains(address))
            || (self.hosts.contains(host) && class.may_belong_to_a_named_host());
        if allowed {
            Ok(())
        } else {
            Err(RefusedAddress {
                host: host.to_string(),
                address,
                class,
            })
        }
    }

    /// The addresses of a resolved host that may be connected to, in the resolver's order.
    ///
    /// # Errors
    /// There are addresses and none may be reached: the first refusal.
    pub fn filter(
        &self,
        host: &HostName,
        resolved: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, RefusedAddress> {
        let mut allowed = Vec::with_capacity(resolved.len());
        let mut first_refusal = None;
        for address in resolved {
            match self.check(host, address.ip()) {
                Ok(()) => allowed.push(*address),
                Err(refusal) => {
                    first_refusal.get_or_insert(refusal);
                }
            }
        }
        match first_refusal {
            Some(refusal) if allowed.is_empty() => Err(refusal),
            Some(_) | None => Ok(allowed),
        }
    }
}

impl FromStr for AddressPolicy {
    type Err = AddressPolicyError;

    fn from_str(text: &str) -> Result<Self, AddressPolicyError> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .try_fold(Self::default(), |policy, entry| {
                if let Ok(network) = entry.parse() {
                    return Ok(policy.allow_network(network));
                }
                match HostName::parse(entry) {
                    Ok(host) if !host.looks_like_an_address() => Ok(policy.allow_host(host)),
                    Ok(_) | Err(_) => Err(AddressPolicyError {
                        entry: entry.chars().take(80).collect(),
                    }),
                }
            })
    }
}

/// An entry of an address policy that is neither a network nor a host name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{}` is neither a network nor a host name", entry.escape_debug())]
pub struct AddressPolicyError {
    /// The entry, at most 80 characters.
    pub entry: String,
}

/// A connection that was not made because of the address it would have gone to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{host}` is at {address}, which is {class}: refused")]
pub struct RefusedAddress {
    /// The host that was resolved.
    pub host: String,
    /// The address it resolved to.
    pub address: IpAddr,
    /// What is special about the address.
    pub class: AddressClass,
}

/// What an address is for, by the special-purpose registries of IANA (RFC 6890 and its successors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressClass {
    /// Anything that no other class holds.
    Public,
    /// `0.0.0.0/8` (RFC 1122 3.2.1.3) and `::`.
    Unspecified,
    /// `127.0.0.0/8` (RFC 1122) and `::1`.
    Loopback,
    /// `169.254.0.0/16` (RFC 3927), `fe80::/10` (RFC 4291). Cloud metadata services live here.
    LinkLocal,
    /// `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` (RFC 1918).
    Private,
    /// `100.64.0.0/10`, carrier-grade NAT (RFC 6598).
    SharedAddressSpace,
    /// `fc00::/7` (RFC 4193), and the older site-local `fec0::/10` (RFC 3879).
    UniqueLocal,
    /// `224.0.0.0/4` (RFC 5771), `ff00::/8` (RFC 4291).
    Multicast,
    /// `192.0.2.0/24`, `198.51.100.0/24`, `203.0.113.0/24` (RFC 5737), `2001:db8::/32` (RFC 3849),
    /// `3fff::/20` (RFC 9637).
    Documentation,
    /// `198.18.0.0/15` (RFC 2544), `2001:2::/48` (RFC 5180).
    Benchmarking,
    /// `::ffff:0:0/96` and the deprecated `::/96` (RFC 4291 2.5.5): an IPv4 address in disguise.
    Ipv4InIpv6,
    /// An address that leads on to another: 6to4 `2002::/16` and its relays `192.88.99.0/24`
    /// (RFC 7526), Teredo `2001::/32` (RFC 4380), local NAT64 `64:ff9b:1::/48` (RFC 8215).
    Transition,
    /// Everything else that is set aside: `192.0.0.0/24` (RFC 6890), `240.0.0.0/4` (RFC 1112),
    /// broadcast, `2001::/23` (RFC 2928), discard-only `100::/64` (RFC 6666), SRv6 `5f00::/16`
    /// (RFC 9602).
    Reserved,
}

impl AddressClass {
    /// The class of an address. NAT64 (`64:ff9b::/96`, RFC 6052) has the class of the IPv4 address
    /// within: on a network with NAT64 that is how public IPv4 hosts are reached.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [0, ..] => Self::Unspecified,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            [100, 64..=127, ..] => Self::SharedAddressSpace,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Documentation,
            [198, 18..=19, ..] => Self::Benchmarking,
            [192, 88, 99, _] => Self::Transition,
            [224..=239, ..] => Self::Multicast,
            [192, 0, 0, _] | [240..=255, ..] => Self::Reserved,
            [..] => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0, 0, 0, 0, 0, 0 | 0xffff, _, _] => Self::Ipv4InIpv6,
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                Self::of_v4(Ipv4Addr::new(a, b, c, d))
            }
            [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] | [0x2002, ..] => Self::Transition,
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Self::Documentation,
            [0x2001, 2, 0, ..] => Self::Benchmarking,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::UniqueLocal,
            [0xff00..=0xffff, ..] => Self::Multicast,
            [0x2001, 0..=0x01ff, ..] | [0..=0x00ff, ..] | [0x0100, 0, 0, 0, ..] | [0x5f00, ..] => {
                Self::Reserved
            }
            [..] => Self::Public,
        }
    }

    /// Whether naming a host is enough to reach it at such an address.
    #[must_use]
    pub fn may_belong_to_a_named_host(self) -> bool {
        match self {
            Self::Public
            | Self::Private
            | Self::SharedAddressSpace
            | Self::UniqueLocal
            | Self::Documentation
            | Self::Benchmarking
            | Self::Reserved => true,
            Self::Unspecified
            | Self::Loopback
            | Self::LinkLocal
            | Self::Multicast
            | Self::Ipv4InIpv6
            | Self::Transition => false,
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Private => "a private address",
            Self::SharedAddressSpace => "a shared (carrier-grade NAT) address",
            Self::UniqueLocal => "a unique-local address",
            Self::Multicast => "a multicast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmarking => "an address for benchmarks",
            Self::Ipv4InIpv6 => "an IPv4 address inside an IPv6 one",
            Self::Transition => "an IPv6 transition address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The range that holds one address only.
    #[must_use]
    pub fn single(address: IpAddr) -> Self {
        Self {
            address,
            prefix: if address.is_ipv4() { 32 } else { 128 },
        }
    }

    /// Whether an address lies in the range. The two families never meet.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = AddressPolicyError;

    fn from_str(text: &str) -> Result<Self, AddressPolicyError> {
        let bad = || AddressPolicyError {
            entry: text.chars().take(80).collect(),
        };
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let mut network = Self::single(address.parse().map_err(|_| bad())?);
        if let Some(prefix) = prefix {
            let digits_only =
                !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
            let prefix: u8 = prefix
                .parse()
                .ok()
                .filter(|_| digits_only)
                .ok_or_else(bad)?;
            if prefix > network.prefix {
                return Err(bad());
            }
            network.prefix = prefix;
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests;
