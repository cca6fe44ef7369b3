//! Texts made to break a parser: none panics, overflows the stack, or takes longer than its length
//! allows; every place lies inside the text, on characters.

use assay_recipe::{Code, MAX_RECIPE_BYTES, parse, parse_bytes, parse_expected, parse_project};
use proptest::prelude::*;

const DOCKER: &str = include_str!("good/docker.toml");

fn survives(text: &str) {
    let all = [
        parse(Some("docker"), text).diagnostics,
        parse_project(text, &[]).diagnostics,
        parse_expected(text).diagnostics,
    ];
    for diagnostic in all.iter().flatten() {
        assert!(!diagnostic.message.is_empty() && !diagnostic.labels.is_empty());
        assert!(
            !diagnostic.message.chars().any(char::is_control),
            "{:?}",
            diagnostic.message
        );
        for label in &diagnostic.labels {
            assert!(text.get(label.span.range()).is_some(), "{diagnostic:?}");
        }
    }
}

fn codes(text: &str) -> Vec<Code> {
    parse(None, text)
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect()
}

#[test]
fn empty_and_blank_files_lack_their_metadata() {
    for text in ["", "\n", "\u{feff}", "# only a comment", " \t\r\n"] {
        assert_eq!(codes(text), [Code::MissingKey], "{text:?}");
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = 200_000;
    for text in [
        format!("x = {}", "[".repeat(deep)),
        format!("x = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("x = {}", "{a=".repeat(deep)),
        format!("{}x = 1", "a.".repeat(deep)),
        format!("[{}x]", "a.".repeat(deep)),
        format!(
            "x = {}{}{}",
            format!("{{{}b=", "a.".repeat(78)).repeat(79),
            1,
            "}".repeat(79)
        ),
        format!(
            "[{}x]\n{}x = {}1{}",
            "a.".repeat(78),
            "b.".repeat(78),
            format!("[{{{}c=", "d.".repeat(78)).repeat(39),
            "}]".repeat(39)
        ),
    ] {
        survives(&text);
    }
    assert!(codes(&format!("x = {}", "[".repeat(deep))).contains(&Code::NestedTooDeep));
}

#[test]
fn long_texts_of_every_shape_end_soon() {
    // A sixteenth of the limit shows a quadratic cost as well, and sooner.
    let fill = |piece: &str| piece.repeat(MAX_RECIPE_BYTES / 16 / piece.len());
    for text in [
        fill("["),
        fill("]"),
        fill("="),
        fill("a"),
        fill("\""),
        fill("'''"),
        fill("\n="),
        fill("a\n"),
        fill("a=\n"),
        fill("a=1\n"),
        fill("[[steps]]\n"),
        fill("[[steps]]\naction=\"manul\"\n"),
        fill("[a]\n"),
        fill("\0"),
        fill("é"),
        fill("\r"),
        format!("[metadata]\nname = \"{}\"", "-".repeat(100_000)),
        format!("[metadata]\nname = \"x\"\n{} = 1", "k".repeat(100_000)),
        format!(
            "[metadata]\nname = \"x\"\ndepends_on = [{}]",
            fill("\"a\",")
                .split_at(50_000)
                .0
                .trim_end_matches(|c| c != ',')
        ),
        format!("x = [{}]", "1,".repeat(50_000)),
        format!(
            "[metadata]\nname = \"x\"\n[[steps]]\naction = \"apt_install\"\npackages = [{}]",
            "\"jq\",".repeat(20_000)
        ),
    ] {
        survives(&text);
    }
}

#[test]
fn a_hundred_megabytes_are_refused_unread() {
    let bytes = vec![b'#'; 100 << 20];
    let (_, parsed) = parse_bytes(None, &bytes);
    assert_eq!(
        parsed
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code)
            .collect::<Vec<_>>(),
        [Code::FileTooLarge]
    );
}

#[test]
fn bytes_that_are_no_text_are_named() {
    let (text, parsed) = parse_bytes(None, b"name = \"\xff\xfe\"");
    assert_eq!(
        parsed.diagnostics[0].message,
        "the file is not UTF-8: byte 0xff"
    );
    assert_eq!(
        text.get(parsed.diagnostics[0].span().range()),
        Some("\u{fffd}")
    );
}

/// Pieces that matter to the grammar of TOML and of recipes.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("[[steps]]\n".to_owned()),
        Just("[metadata]\n".to_owned()),
        Just("\"".to_owned()),
        Just("'''".to_owned()),
        Just("\"\"\"".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("= ".to_owned()),
        Just("\n".to_owned()),
        Just("\\u0000".to_owned()),
        Just("-".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("a.b.c = 1\n".to_owned()),
        Just("when = { distro = \"x>=1\" }\n".to_owned()),
        ".{0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn mutated_recipes(edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, piece()), 1..8)) {
        let mut text = DOCKER.to_owned();
        for (place, cut, piece) in edits {
            let floor = |mut at: usize, text: &str| { while !text.is_char_boundary(at) { at -= 1; } at };
            let start = floor(place.index(text.len() + 1), &text);
            let end = floor((start + cut).min(text.len()), &text).max(start);
            text.replace_range(start..end, &piece);
        }
        survives(&text);
    }

    #[test]
    fn assembled_texts(pieces in prop::collection::vec(piece(), 0..40)) {
        survives(&pieces.concat());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (text, parsed) = parse_bytes(None, &bytes);
        for diagnostic in &parsed.diagnostics {
            prop_assert!(text.get(diagnostic.span().range()).is_some());
        }
    }
}
