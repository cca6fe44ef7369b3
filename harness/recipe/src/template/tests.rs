//! Texts with placeholders, addresses and words: what is one, and where it is not.

use super::*;
use proptest::prelude::*;

fn code<T: FromStr<Err = TextFault>>(text: &str) -> Option<Code> {
    text.parse::<T>().err().map(|fault| fault.code)
}

#[test]
fn texts_are_filled_piece_by_piece() {
    let value = |placeholder| match placeholder {
        Placeholder::Distro => Some("ubuntu"),
        Placeholder::Codename => None,
        Placeholder::VersionId => Some("24.04"),
        Placeholder::Arch => Some("amd64"),
    };
    for (text, filled, pieces) in [
        (
            "https://a.example/{distro}{arch}/x",
            "https://a.example/ubuntuamd64/x",
            4,
        ),
        (
            "https://a.example/{version_id}",
            "https://a.example/24.04",
            2,
        ),
        ("https://a.example/", "https://a.example/", 1),
    ] {
        let url: Url = text.parse().expect("a URL");
        assert_eq!(url.fill(value).as_deref(), Ok(filled));
        assert_eq!(url.0.pieces.len(), pieces, "{text}");
    }
    let url: Url = "https://a.example/{arch}/{codename}"
        .parse()
        .expect("a URL");
    assert_eq!(url.fill(value), Err(Placeholder::Codename));
    let named: Vec<_> = url.placeholders().collect();
    assert_eq!(named, [Placeholder::Arch, Placeholder::Codename]);
}

#[test]
fn the_bounds_are_what_they_say() {
    let a = |length: usize| "a".repeat(length);
    let longest = MAX_URL_BYTES - "https://a.example/".len();
    let host = |last: usize| [a(63), a(63), a(63), a(last)].join(".");
    for (good, bad) in [
        (
            format!("a.example/{}", a(longest)),
            format!("a.example/{}", a(longest + 1)),
        ),
        (a(63), a(64)),
        (host(61), host(62)),
        ("a.example:65535".to_owned(), "a.example:65536".to_owned()),
        ("a.example:00080".to_owned(), "a.example:000080".to_owned()),
        ("a.example/%20".to_owned(), "a.example/%2".to_owned()),
        ("a.example/%aF".to_owned(), "a.example/%".to_owned()),
        ("a.example/?..".to_owned(), "a.example/..?".to_owned()),
    ] {
        assert_eq!(code::<Url>(&format!("https://{good}")), None, "{good}");
        assert_eq!(
            code::<Url>(&format!("https://{bad}")),
            Some(Code::InvalidUrl),
            "{bad}"
        );
    }
    assert_eq!(code::<Suite>(&a(200)), None);
    assert_eq!(code::<Suite>(&a(201)), Some(Code::InvalidSuite));
}

#[test]
fn a_fault_is_where_it_stands() {
    for (text, wrong) in [
        ("ftp://a.example/", "ftp"),
        ("https://u:p@a.example/", "u:p@"),
        ("https://a.example/x#y", "#y"),
        ("https://a.b_c.example/", "_"),
        ("https://a.example:0/", ":"),
        ("https://a.example/x y", " "),
        ("https://a.example/x%2", "%"),
        ("https://a.example/b/../c", "."),
        ("https://a.example/{arch}/{x", "{"),
        ("https://a.example/{arch}/x}", "}"),
        ("https://a.example/{arch}/{nope}", "{nope}"),
    ] {
        let fault = text.parse::<Url>().expect_err("no URL");
        let covered = fault.range.and_then(|range| text.get(range));
        assert_eq!(covered, Some(wrong), "{text}");
    }
    for (text, wrong) in [("a!b", "!"), (".a", "."), ("a-", "-")] {
        let fault = text.parse::<Suite>().expect_err("no suite");
        let covered = fault.range.and_then(|range| text.get(range));
        assert_eq!(covered, Some(wrong), "{text}");
    }
}

#[test]
fn urls_are_https_and_nothing_else() {
    for good in [
        "https://download.docker.com/linux/{distro}/gpg",
        "https://packages.assay.test",
        "https://a.example:8443/x?y=%20&z=1",
        "https://a.example/~x/(y)/+z",
        "https://192.0.2.1/x",
        "https://a.example.0xyz/",
    ] {
        assert_eq!(code::<Url>(good), None, "{good}");
    }
    for (bad, expected) in [
        ("http://a.example/", Code::UrlNotHttps),
        ("HTTPS://a.example/", Code::UrlNotHttps),
        ("file:///etc/passwd", Code::UrlNotHttps),
        ("ftp://a.example/", Code::UrlNotHttps),
        ("https://u:p@a.example/", Code::UrlWithUserinfo),
        ("https://a.example@evil.example/", Code::UrlWithUserinfo),
        ("https://a.example/#x", Code::UrlWithFragment),
        ("https://a.example#@b.example", Code::UrlWithFragment),
        ("a.example/x", Code::InvalidUrl),
        ("https://", Code::InvalidUrl),
        ("https:///x", Code::InvalidUrl),
        ("https://A.example/", Code::InvalidUrl),
        ("https://-a.example/", Code::InvalidUrl),
        ("https://a..example/", Code::InvalidUrl),
        ("https://a.example:0/", Code::InvalidUrl),
        ("https://a.example:+1/", Code::InvalidUrl),
        ("https://a.example:99999/", Code::InvalidUrl),
        ("https://[::1]/", Code::InvalidUrl),
        ("https://127.1/", Code::InvalidUrl),
        ("https://a.example.7/", Code::InvalidUrl),
        ("https://0x7f000001/", Code::InvalidUrl),
        ("https://a.example/../x", Code::InvalidUrl),
        ("https://a.example/./x", Code::InvalidUrl),
        ("https://a.example/x y", Code::InvalidUrl),
        ("https://a.example/x\"y", Code::InvalidUrl),
        ("https://a.example\\b", Code::InvalidUrl),
        ("https://a.example/%zz", Code::InvalidUrl),
        ("https://a.example/$`id`", Code::InvalidUrl),
        ("https://{distro}.example/", Code::InvalidUrl),
        ("https://a.example/{distro", Code::InvalidUrl),
        ("https://a.example/}{", Code::InvalidUrl),
        ("https://a.example/{version}", Code::UnknownPlaceholder),
        ("https://a.example/{Distro}", Code::UnknownPlaceholder),
        ("https://a.example/\n", Code::ControlCharacter),
        ("https://аpple.example/", Code::LookAlikeCharacter),
        ("-https://a.example/", Code::OptionInjection),
    ] {
        assert_eq!(code::<Url>(bad), Some(expected), "{bad:?}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let fault = "https://me:secret@a.example/"
        .parse::<Url>()
        .expect_err("userinfo");
    assert!(!fault.message.contains("secret"), "{}", fault.message);
}

#[test]
fn placeholders_are_found_and_filled() {
    let url: Url = "https://a.example:8443/{distro}/{codename}?x={arch}"
        .parse()
        .expect("a URL");
    assert_eq!(
        (url.host(), url.path()),
        ("a.example", "/{distro}/{codename}?x={arch}")
    );
    assert_eq!(
        url.placeholders().collect::<Vec<_>>(),
        [
            Placeholder::Distro,
            Placeholder::Codename,
            Placeholder::Arch
        ]
    );
    let filled = url.fill(|placeholder| match placeholder {
        Placeholder::Distro => Some("ubuntu"),
        Placeholder::Codename => Some("noble"),
        Placeholder::VersionId => None,
        Placeholder::Arch => Some("amd64"),
    });
    assert_eq!(
        filled.as_deref(),
        Ok("https://a.example:8443/ubuntu/noble?x=amd64")
    );
    assert_eq!(url.fill(|_| None), Err(Placeholder::Distro));
}

#[test]
fn suites_and_components_are_words() {
    for good in [
        "{codename}",
        "{codename}-security",
        "stable",
        "bookworm/updates",
        "any-version",
    ] {
        assert_eq!(code::<Suite>(good), None, "{good}");
    }
    for bad in [
        "a b",
        "./",
        "/",
        "a/",
        "a//b",
        "a/../b",
        "a;b",
        "{codename",
        "[trusted=yes]",
        "stable\\",
    ] {
        assert_eq!(code::<Suite>(bad), Some(Code::InvalidSuite), "{bad}");
        assert_eq!(
            code::<Component>(bad),
            Some(Code::InvalidComponent),
            "{bad}"
        );
    }
    assert_eq!(
        code::<Suite>("a\nTrusted: yes"),
        Some(Code::ControlCharacter)
    );
    assert_eq!(code::<Component>("-a"), Some(Code::OptionInjection));
}

proptest! {
    #[test]
    fn no_text_panics(text in "(https://)?[a-z.{}/@#:%-]{0,16}|.*") {
        if let Ok(url) = text.parse::<Url>() {
            prop_assert!(!url.host().is_empty());
            prop_assert_eq!(format!("https://{}{}", url.authority(), url.path()), text.clone());
        }
        let _ = text.parse::<Suite>();
        let _ = text.parse::<Component>();
    }
}
