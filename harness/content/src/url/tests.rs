//! URLs: their normal form, their faults, joining, and what is shown of them.

use proptest::prelude::*;

use super::*;

fn url(text: &str) -> WebUrl {
    text.parse().expect("a valid URL")
}

#[test]
fn texts_are_normalised() {
    let cases = [
        ("https://Example.ORG", "https://example.org/"),
        ("HTTPS://example.org:443/a?b#c", "https://example.org/a?b"),
        (
            "http://example.org.:8080/a/../b/./c/",
            "http://example.org:8080/b/c/",
        ),
        (
            "http://example.org:80/../../etc/passwd",
            "http://example.org/etc/passwd",
        ),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("https://example.org?x=1", "https://example.org/?x=1"),
        ("https://example.org/a/..", "https://example.org/"),
        ("https://example.org/a/b/..", "https://example.org/a/"),
        ("https://example.org//a//b", "https://example.org//a//b"),
    ];
    for (text, normal) in cases {
        assert_eq!(url(text).to_string(), normal);
    }
}

#[test]
fn faults_are_named() {
    let cases = [
        ("ftp://example.org/", UrlFault::Scheme),
        ("file:///etc/passwd", UrlFault::Scheme),
        ("example.org/a", UrlFault::Scheme),
        ("https://user:pw@example.org/", UrlFault::Credentials),
        ("https://example.org@evil.example/", UrlFault::Credentials),
        ("https:///a", UrlFault::Host),
        ("https://exa mple.org/", UrlFault::Character),
        ("https://example.org/a\r\nHost: evil", UrlFault::Character),
        ("https://example.org\\@evil/", UrlFault::Character),
        ("https://ex\u{e4}mple.org/", UrlFault::Character),
        ("https://example.org:0/", UrlFault::Host),
        ("https://example.org:65536/", UrlFault::Host),
        ("https://example.org:+80/", UrlFault::Host),
        ("https://127.1/", UrlFault::Host),
        ("https://0x7f000001/", UrlFault::Host),
        ("https://2130706433/", UrlFault::Host),
        ("https://017700000001/", UrlFault::Host),
        ("https://127.0.0.0x1/", UrlFault::Host),
        ("https://-a.example/", UrlFault::Host),
        ("https://a..example/", UrlFault::Host),
        ("https://[::1/", UrlFault::Host),
        ("https://[fe80::1%25eth0]/", UrlFault::Host),
        ("https://%31%32%37.0.0.1/", UrlFault::Host),
    ];
    for (text, fault) in cases {
        assert_eq!(
            text.parse::<WebUrl>().expect_err(text).fault,
            fault,
            "{text}"
        );
    }
    let long = format!("https://example.org/{}", "a".repeat(LONGEST_URL));
    assert_eq!(
        long.parse::<WebUrl>().expect_err("too long").fault,
        UrlFault::TooLong
    );
}

#[test]
fn messages_hold_no_credentials_and_no_controls() {
    let error = "https://user:hunter2@example.org/"
        .parse::<WebUrl>()
        .expect_err("credentials");
    assert_eq!(
        error.to_string(),
        "`https://***@example.org/` holds credentials"
    );
    let error = "https://example.org/\u{1b}[2J"
        .parse::<WebUrl>()
        .expect_err("escape");
    assert!(!error.to_string().contains('\u{1b}'));
    let secret = url("https://example.org/f?X-Amz-Signature=abc&arch=x86_64&access_token=1");
    assert_eq!(
        secret.redacted(),
        "https://example.org/f?X-Amz-Signature=***&arch=x86_64&access_token=***"
    );
}

#[test]
fn references_are_joined_as_rfc_3986_says() {
    let base = url("http://a/b/c/d;p?q");
    let cases = [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        (";x", "http://a/b/c/;x"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("https://z/x", "https://z/x"),
    ];
    for (reference, joined) in cases {
        assert_eq!(
            base.join(reference).expect("joins").to_string(),
            joined,
            "{reference}"
        );
    }
    assert_eq!(
        base.join("javascript:alert(1)").expect_err("scheme").fault,
        UrlFault::Scheme
    );
}

#[test]
fn lab_hosts_are_known_by_their_domain_alone() {
    for (name, lab) in [
        ("packages.assay.test", true),
        ("EVIL.Assay.Test.", true),
        ("a.b.assay.test", true),
        ("assay.test", false),
        ("notassay.test", false),
        ("packages.assay.test.example.org", false),
    ] {
        assert_eq!(
            HostName::parse(name).expect("a name").is_lab(),
            lab,
            "{name}"
        );
    }
}

proptest! {
    #[test]
    fn normal_texts_parse_to_themselves(text in "https?://[a-z0-9.:@\\[\\]%/?#_-]{0,40}") {
        if let Ok(first) = text.parse::<WebUrl>() {
            prop_assert_eq!(first.to_string().parse::<WebUrl>(), Ok(first.clone()));
            prop_assert!(!first.path().split('/').any(|segment| segment == ".." || segment == "."));
            prop_assert!(first.path().starts_with('/'));
        }
    }

    #[test]
    fn no_text_panics(text in ".*", reference in ".*") {
        let _ = text.parse::<WebUrl>();
        let _ = url("https://example.org/a").join(&reference);
        let _ = split_authority(&text);
    }

    #[test]
    fn any_ipv6_address_is_a_host(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        let host = HostName::parse(&format!("[{address}]")).expect("a host");
        prop_assert_eq!(host.address(), Some(IpAddr::V6(address)));
    }
}
