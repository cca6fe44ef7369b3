//! What comes from the network or is sent there: URLs, addresses, and what a sandbox says to the
//! proxy.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use assay_content::address::{AddressClass, AddressPolicy, Network};
use assay_content::fetch::resume::{ContentRange, retry_after};
use assay_content::lab_hosts::LabHosts;
use assay_content::openpgp;
use assay_content::proxy::{CertificateAuthority, PeerInfo, Proxy, ProxyConfig};
use assay_content::store::digests_named_in;
use assay_content::upstream::UpstreamProxies;
use assay_content::url::{HostName, Scheme, WebUrl, split_authority};
use assay_recipe::template::Url;
use assay_wire::event::{Request, RequestDecision};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{assert_showable, folder, parts, text};

/// A file of keys: within its limits, showable, and used only where a key of it may sign.
pub fn keys(bytes: &[u8]) {
    const NOW: u64 = 1_767_225_600;
    let file = match openpgp::read(bytes, NOW) {
        Ok(file) => file,
        Err(error) => return assert_showable(&error.to_string()),
    };
    let mut components = 0;
    for key in &file.keys {
        assert!(key.user_ids.len() <= openpgp::MAX_USER_IDS);
        for id in &key.user_ids {
            assert_showable(&id.text);
        }
        for one in key.components() {
            components += 1;
            assert!(matches!(one.fingerprint.len(), 40 | 64));
            assert!(one.could_sign() || !one.signs_at(NOW));
            assert_showable(&one.algorithm.to_string());
        }
    }
    assert!(components <= openpgp::MAX_KEYS);
    let nobody = ["0".repeat(40)];
    let findings = openpgp::findings(&file, &nobody, NOW);
    for finding in &findings {
        assert_showable(&finding.message);
    }
    assert!(openpgp::refusal(&findings).is_some());
    let signs = file
        .keys
        .iter()
        .any(|key| key.components().any(|one| one.signs_at(NOW)));
    let findings = openpgp::findings(&file, &[], NOW);
    assert!(signs || openpgp::refusal(&findings).is_some());
}

/// A URL and a reference in it.
pub fn urls(bytes: &[u8]) {
    let text = text(bytes);
    let [base, reference]: [&str; 2] = parts(&text);
    if let Some((host, port)) = split_authority(base) {
        assert_ne!(port, Some(0));
        assert_eq!(HostName::parse(host.as_str()).as_ref(), Ok(&host));
        assert_eq!(host.looks_like_an_address(), host.address().is_some());
    }
    match base.parse::<WebUrl>() {
        Ok(url) => {
            assert_url(&url);
            if let Ok(joined) = url.join(reference) {
                assert_url(&joined);
            }
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
    }
    // What a recipe may name can be fetched, from the host that was consented to.
    if let Ok(declared) = base.parse::<Url>()
        && declared.placeholders().next().is_none()
    {
        let url: WebUrl = base.parse().expect("a recipe's URL is one");
        assert_eq!(url.scheme(), Scheme::Https);
        assert_eq!(url.host().as_str(), declared.host());
    }
}

fn assert_url(url: &WebUrl) {
    let text = url.to_string();
    assert_eq!(text.parse::<WebUrl>().as_ref(), Ok(url), "{text:?}");
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    assert!(!url.host().as_str().contains('@') && url.port() != 0);
    assert!(url.path().starts_with('/'), "{text:?}");
    let dots = url
        .path()
        .split('/')
        .any(|segment| matches!(segment, "." | ".."));
    assert!(!dots, "{text:?}");
    assert_showable(&url.redacted());
}

/// What a server says about a part of a body and about patience, a line each; then any text that names
/// digests.
pub fn answers(bytes: &[u8]) {
    let text = text(bytes);
    let [range, patience, rest]: [&str; 3] = parts(&text);
    if let Ok(range) = range.parse::<ContentRange>() {
        assert!(range.first <= range.last && range.last < range.total);
        let again = format!("bytes {}-{}/{}", range.first, range.last, range.total);
        assert_eq!(again.parse(), Ok(range), "it is read as it is written");
    }
    let asked = retry_after(patience, SystemTime::UNIX_EPOCH);
    let digits = !patience.is_empty() && patience.bytes().all(|byte| byte.is_ascii_digit());
    assert!(asked.is_some() || !digits, "a number is an answer");
    for digest in digests_named_in(rest.as_bytes()) {
        let named = rest.to_ascii_lowercase().contains(&digest.to_string());
        assert!(named, "{digest} stands in the text");
    }
}

/// An address, then a policy, a host and a proxy with a password, a line each.
pub fn addresses(bytes: &[u8]) {
    if let Some((octets, _)) = bytes.split_first_chunk::<4>() {
        assert_class(IpAddr::V4(Ipv4Addr::from(*octets)));
    }
    if let Some((octets, _)) = bytes.split_first_chunk::<16>() {
        assert_class(IpAddr::V6(Ipv6Addr::from(*octets)));
    }
    let text = text(bytes);
    let [policy, host, proxy]: [&str; 3] = parts(&text);
    let host = HostName::parse(host).ok();
    if let (Some(host), Ok(policy)) = (&host, policy.parse::<AddressPolicy>()) {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        if policy.check(host, loopback).is_ok() {
            let opened = text.split(['\n', ',']).any(|entry| {
                let network: Result<Network, _> = entry.trim().parse();
                network.is_ok_and(|network| network.contains(loopback))
            });
            assert!(
                opened,
                "loopback is reached only where its network is named"
            );
        }
        let resolved = [
            (loopback, 80).into(),
            (Ipv4Addr::new(9, 9, 9, 9), 80).into(),
        ];
        let allowed = policy
            .filter(host, &resolved)
            .expect("one of them is public");
        assert!(allowed.contains(&resolved[1]));
    }
    const PASSWORD: &str = "d4Zr-0nly-here";
    let named = format!("http://me:{PASSWORD}@{proxy}");
    let variables = |name: &str| (name == "http_proxy").then(|| named.clone());
    match UpstreamProxies::from_variables(variables) {
        Ok(proxies) => {
            assert!(!format!("{proxies:?}").contains(PASSWORD));
            if let Some(address) = proxies.address(Scheme::Http) {
                let (user, password) = address.credentials().expect("they were named");
                // What stands before the last `@` belongs to the password.
                assert!(user == "me" && password.starts_with(PASSWORD));
                assert!(!address.authority().contains('@'));
            }
        }
        Err(error) => assert!(!error.to_string().contains(PASSWORD)),
    }
}

/// What the standard library knows of an address is known here, too.
fn assert_class(address: IpAddr) {
    let special = match address {
        IpAddr::V4(address) => {
            address.is_private()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_loopback()
                || address.is_multicast()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_multicast()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some()
        }
    };
    let class = AddressClass::of(address);
    assert!(!special || class != AddressClass::Public, "{address}");
    let host = HostName::parse("host.example").expect("a name");
    let allowed = AddressPolicy::public_only().check(&host, address).is_ok();
    let harmless = matches!(class, AddressClass::Public | AddressClass::Documentation);
    assert_eq!(allowed, harmless, "{address} is {class}");
    assert!(Network::single(address).contains(address));
}

/// What lies beside the lab's folder and is served to nobody.
const SECRET: &[u8] = b"5zM0-not-of-the-lab-qQ7";

/// A connection to the proxy, to its end: no byte of it leads out, or to a file beside the lab.
pub fn proxy(bytes: &[u8]) {
    let folder = folder();
    let lab = folder.path().join("lab");
    std::fs::create_dir_all(lab.join("evil.assay.test")).expect("a folder");
    std::fs::write(lab.join("greeting"), "hello, lab").expect("written");
    std::fs::write(folder.path().join("secret"), SECRET).expect("written");
    std::os::unix::fs::symlink("../secret", lab.join("link")).expect("linked");
    std::os::unix::fs::symlink("greeting", lab.join("inside")).expect("linked");
    let records: Arc<Mutex<Vec<Request>>> = Arc::default();
    let told = Arc::clone(&records);
    let peer = PeerInfo::new(move |record| told.lock().expect("no panic").push(record));
    let proxy = closed_proxy(LabHosts {
        repositories: Some(lab),
    });
    let answer = runtime().block_on(async {
        let (mut client, server) = tokio::io::duplex(64 << 10);
        let served = tokio::spawn(async move { proxy.serve(server, peer).await });
        // A proxy that refuses early may close before everything was written.
        let (mut from, mut to) = tokio::io::split(&mut client);
        let sending = async {
            let _ = to.write_all(bytes).await;
            let _ = to.shutdown().await;
        };
        let mut answer = Vec::new();
        let (_, read) = tokio::join!(sending, from.read_to_end(&mut answer));
        read.expect("memory can be read");
        served.await.expect("the proxy does not panic");
        answer
    });
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."));
    let leaked = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET);
    assert!(!leaked(&answer) || leaked(bytes), "a file beside the lab");
    for record in records.lock().expect("no panic").iter() {
        assert_request(record);
    }
}

fn assert_request(record: &Request) {
    let said = match &record.decision {
        RequestDecision::Served => "",
        RequestDecision::Refused { reason }
        | RequestDecision::AnswerRefused { reason }
        | RequestDecision::Failed { reason } => reason,
        RequestDecision::Forwarded
        | RequestDecision::Replayed
        | RequestDecision::Tunnelled
        | RequestDecision::Missed { .. } => {
            panic!("nothing leads out: {record:?}")
        }
    };
    for text in [said, &record.method, &record.url] {
        assert!(!text.chars().any(char::is_control), "{record:?}");
        assert!(text.len() <= 2048, "{} bytes", text.len());
    }
}

/// A proxy that may connect to nothing: no port is open.
pub(crate) fn closed_proxy(lab: LabHosts) -> Proxy {
    let config = ProxyConfig {
        lab,
        ports: BTreeSet::new(),
        ..ProxyConfig::default()
    };
    Proxy::new(config, authority())
}

/// One authority for all: making a key is slow, and no byte of a target depends on it.
pub(crate) fn authority() -> Arc<CertificateAuthority> {
    static AUTHORITY: OnceLock<Arc<CertificateAuthority>> = OnceLock::new();
    let made = AUTHORITY.get_or_init(|| Arc::new(CertificateAuthority::generate().expect("a key")));
    Arc::clone(made)
}

/// A runtime whose clock jumps to whatever is waited for.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
}
