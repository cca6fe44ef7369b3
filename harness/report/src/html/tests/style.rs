//! The style sheet: that its colours can be told apart, and that it asks for nothing.

use std::collections::BTreeMap;

use super::STYLE;

/// Texts and the grounds on which they stand.
const PAIRS: &[(&str, &[&str])] = &[
    ("text", &["ground", "sunk", "raised"]),
    ("soft", &["ground", "sunk", "raised"]),
    ("link", &["ground", "raised"]),
    ("bad", &["bad-ground", "ground", "raised"]),
    ("warn", &["warn-ground", "ground", "raised"]),
    ("good", &["good-ground", "ground", "raised"]),
    ("mute", &["mute-ground", "ground", "raised"]),
    ("trust", &["trust-ground", "ground", "raised"]),
    ("network", &["network-ground", "ground", "raised"]),
    // A badge whose text has the ground's colour.
    ("ground", &["bad"]),
];

/// The colours of the first rule after this text.
fn colours(after: &str) -> BTreeMap<&'static str, &'static str> {
    let (_, rest) = STYLE.split_once(after).expect("the rule");
    let (_, rest) = rest.split_once('{').expect("its beginning");
    let (rule, _) = rest.split_once('}').expect("its end");
    let lines = rule.split(';').filter_map(|line| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": ")?;
        value.starts_with('#').then_some((name, value))
    });
    lines.collect()
}

/// The relative luminance of a colour (WCAG 2.2, "relative luminance").
fn luminance(colour: &str) -> f64 {
    let digits = colour.trim_start_matches('#');
    let long = match digits.len() {
        3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
        _ => digits.to_owned(),
    };
    let channel = |at: usize| {
        let value = u8::from_str_radix(&long[at..at + 2], 16).expect("hex digits");
        let share = f64::from(value) / 255.0;
        match share <= 0.04045 {
            true => share / 12.92,
            false => ((share + 0.055) / 1.055).powf(2.4),
        }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn every_text_can_be_read_in_light_in_dark_and_on_paper() {
    let light = colours(":root");
    let dark = colours("@media (prefers-color-scheme: dark) {\n");
    let mut paper = light.clone();
    paper.extend(colours("@media print {\n"));
    assert_eq!(
        light.keys().collect::<Vec<_>>(),
        dark.keys().collect::<Vec<_>>()
    );
    for (theme, colours) in [("light", light), ("dark", dark), ("paper", paper)] {
        for (text, grounds) in PAIRS {
            for ground in *grounds {
                let ratio = contrast(colours[text], colours[ground]);
                assert!(ratio >= 4.5, "{theme}: {text} on {ground} has {ratio:.2}");
            }
        }
    }
}

#[test]
fn the_style_asks_for_nothing() {
    for word in ["url(", "@import", "image-set", "src:"] {
        assert!(!STYLE.contains(word), "{word}");
    }
}
