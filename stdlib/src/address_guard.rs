//! Which addresses an `http` step may connect to.
//!
//! A workflow's author decides the URL, and often an event's data decides part of it. The guard keeps such a step away
//! from what only the host can reach: private networks, the machine itself, the metadata services of clouds. It looks
//! at the address that is connected to, after names are resolved, so a name cannot change its mind in between.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A host or network that `http` steps may reach although it is not public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// A host name, with whatever address it has; in lower case.
    Host(String),
    /// All addresses that share the first `prefix` bits with `address`.
    Network {
        /// An address of the network.
        address: IpAddr,
        /// How many bits count: at most 32 or 128.
        prefix: u8,
    },
}

/// A text that names no host and no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseAllowError(String);

/// Looks names up and lets only permitted addresses through.
#[derive(Clone, Debug)]
pub(crate) struct AddressGuard {
    allow: Arc<[Allow]>,
    allow_loopback: bool,
}

/// An address or a name that may not be connected to.
#[derive(Debug)]
pub(crate) struct Refused {
    host: String,
}

impl AddressGuard {
    pub(crate) fn new(allow: Vec<Allow>, allow_loopback: bool) -> Self {
        AddressGuard { allow: allow.into(), allow_loopback }
    }

    /// Checks a URL whose host is an address: the resolver never sees it.
    pub(crate) fn check_literal(&self, url: &Url) -> Result<(), Refused> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) if !self.permits(address) => Err(Refused { host: host.to_owned() }),
            _ => Ok(()),
        }
    }

    fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address)
            || (self.allow_loopback && address.is_loopback())
            || self.allow.iter().any(|allow| allow.contains(address))
    }

    fn permits_host(&self, name: &str) -> bool {
        self.allow.iter().any(|allow| matches!(allow, Allow::Host(host) if host.eq_ignore_ascii_case(name)))
    }
}

impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let found = tokio::net::lookup_host((name, 0)).await?;
            let any = guard.permits_host(name);
            let permitted: Vec<SocketAddr> = found.filter(|address| any || guard.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(Refused { host: name.to_owned() }.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

impl Allow {
    fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Allow::Network { address: IpAddr::V4(network), prefix }, IpAddr::V4(address)) => {
                same_prefix(u128::from(network.to_bits()) << 96, u128::from(address.to_bits()) << 96, *prefix)
            }
            (Allow::Network { address: IpAddr::V6(network), prefix }, IpAddr::V6(address)) => {
                same_prefix(network.to_bits(), address.to_bits(), *prefix)
            }
            _ => false,
        }
    }
}

impl FromStr for Allow {
    type Err = ParseAllowError;

    /// Reads a host name, an address, or a network such as `10.0.0.0/8`.
    fn from_str(text: &str) -> Result<Self, ParseAllowError> {
        let wrong = || ParseAllowError(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        if let Ok(address) = address.trim_matches(['[', ']']).parse::<IpAddr>() {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| wrong())?;
            return (prefix <= bits).then_some(Allow::Network { address, prefix }).ok_or_else(wrong);
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match prefix {
            None if !text.is_empty() && text.chars().all(is_name) => Ok(Allow::Host(text.to_ascii_lowercase())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for ParseAllowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a host, an address or a network such as `10.0.0.0/8`, found `{}`", self.0)
    }
}

impl Error for ParseAllowError {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a public address; `http.allow` can permit it", self.host)
    }
}

impl Error for Refused {}

fn same_prefix(left: u128, right: u128, prefix: u8) -> bool {
    let ignored = 128 - u32::from(prefix.min(128));
    left.checked_shr(ignored) == right.checked_shr(ignored)
}

/// Whether the address is one of the open internet. `address` is canonical: no IPv4 address in IPv6 clothes.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 | 224.. => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => matches!((b, c), (168, _) | (0, 0 | 2) | (88, 99)),
        198 => matches!((b, c), (18 | 19, _) | (51, 100)),
        203 => (b, c) == (0, 113),
        // Azure answers its machines here, though the address looks public.
        168 => address == Ipv4Addr::new(168, 63, 129, 16),
        _ => false,
    };
    !special
}

/// Only global unicast (2000::/3) is public, without the ranges that tunnel to IPv4 or are reserved.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64: the IPv4 address in the last 32 bits is the one that is reached.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(Ipv4Addr::from_bits(address.to_bits() as u32)),
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..0x1000, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let guard = AddressGuard::new(Vec::new(), false);
        let refused = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        let passed = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "168.63.129.17",
            "169.253.1.1",
            "172.15.1.1",
            "172.32.1.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.1.1",
            "198.20.1.1",
            "203.0.112.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2001:200::1",
            "2606:4700::1111",
            "2a00::1",
        ];
        for address in refused {
            assert!(!guard.permits(address.parse().unwrap()), "{address}");
        }
        for address in passed {
            assert!(guard.permits(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_url_cannot_hide_an_address() {
        let guard = AddressGuard::new(Vec::new(), false);
        for host in ["127.0.0.1", "2130706433", "0x7f.1", "017700000001", "127.1", "[::1]", "[::ffff:7f00:1]", "0"] {
            let url = Url::parse(&format!("http://user@{host}:8080/x")).unwrap();
            assert!(guard.check_literal(&url).is_err(), "{host}");
        }
        assert!(guard.check_literal(&Url::parse("http://1.1.1.1/").unwrap()).is_ok());
    }

    #[test]
    fn what_is_allowed_passes() {
        let allow = ["10.0.0.0/8", "192.168.1.5", "fd00::/16", "Intranet.example.org"];
        let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        let guard = AddressGuard::new(allow, true);
        for address in
            ["10.255.0.1", "192.168.1.5", "fd00::1", "127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:10.1.1.1"]
        {
            assert!(guard.permits(address.parse().unwrap()), "{address}");
        }
        for address in ["11.0.0.1", "192.168.1.6", "fd01::1", "0.0.0.0", "169.254.169.254"] {
            assert_eq!(guard.permits(address.parse().unwrap()), address == "11.0.0.1", "{address}");
        }
        assert!(guard.permits_host("intranet.example.org") && !guard.permits_host("example.org"));
        for wrong in ["", "10.0.0.0/33", "a/8", "::/129", "a b", "10.0.0.0/x"] {
            assert!(wrong.parse::<Allow>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn names_are_judged_by_their_addresses() {
        let resolve = |guard: AddressGuard| async move { guard.resolve("localhost".parse().unwrap()).await.map(drop) };
        assert!(resolve(AddressGuard::new(Vec::new(), false)).await.unwrap_err().is::<Refused>());
        assert!(resolve(AddressGuard::new(Vec::new(), true)).await.is_ok());
        assert!(resolve(AddressGuard::new(vec![Allow::Host("localhost".to_owned())], false)).await.is_ok());
    }
}
