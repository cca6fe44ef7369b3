//! A page read back by a strict parser, and what has to be true of every one.

use std::collections::BTreeSet;

use assay_wire::digest::Digest;
use base64::Engine as _;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::sanitise::is_hidden;

/// Every element that a page may have.
const ELEMENTS: &[&str] = &[
    "a", "abbr", "b", "body", "button", "caption", "code", "dd", "del", "details", "dialog", "div",
    "dl", "dt", "form", "h1", "h2", "h3", "h4", "h5", "head", "header", "html", "i", "input",
    "ins", "kbd", "label", "li", "link", "main", "meta", "nav", "ol", "output", "p", "pre", "rect",
    "script", "section", "small", "span", "style", "summary", "svg", "table", "tbody", "td", "th",
    "thead", "time", "title", "tr", "ul",
];

/// Every attribute that an element may have. There is none that runs, loads or styles anything.
const ATTRIBUTES: &[&str] = &[
    "aria-hidden",
    "aria-label",
    "aria-labelledby",
    "aria-live",
    "autocomplete",
    "charset",
    "class",
    "colspan",
    "content",
    "height",
    "href",
    "http-equiv",
    "id",
    "lang",
    "method",
    "name",
    "open",
    "placeholder",
    "rel",
    "role",
    "scope",
    "spellcheck",
    "tabindex",
    "title",
    "type",
    "width",
    "x",
];

/// Elements that HTML ends by themselves; any other has an end of its own.
const VOID: &[&str] = &["input", "link", "meta"];

/// One element as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

/// What a page is made of.
#[derive(Debug, Default)]
pub(super) struct Markup {
    /// Its elements in the order of their beginnings.
    pub(super) elements: Vec<Element>,
    /// All of its text.
    pub(super) text: String,
}

impl Markup {
    /// All values of an attribute.
    pub(super) fn values<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m str> {
        let all = self.elements.iter().flat_map(|element| &element.attributes);
        all.filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// How many elements have this name.
    pub(super) fn count(&self, name: &str) -> usize {
        let all = self.elements.iter();
        all.filter(|element| element.name == name).count()
    }
}

/// Reads a page, style and script apart, which are read as text.
pub(super) fn read(page: &str) -> Markup {
    let document = page.strip_prefix("<!DOCTYPE html>\n").expect("HTML");
    let (style, document) = without(document, "style");
    let (script, document) = without(&document, "script");
    let markup = read_part(&document);
    let policy: Vec<&str> = markup
        .values("content")
        .filter(|value| value.contains("-src"))
        .collect();
    let [policy] = policy[..] else {
        panic!("one policy: {policy:?}")
    };
    for (name, text) in [("style", style), ("script", script)] {
        let digest = Digest::of(text.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest.bytes());
        let source = format!("{name}-src 'sha256-{hash}'");
        assert!(policy.contains(&source), "{source} in {policy}");
    }
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    markup
}

/// A document without what the only element of this name holds, and that.
fn without(document: &str, name: &str) -> (String, String) {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let (before, rest) = document.split_once(&begin).expect("the element");
    let (within, after) = rest.split_once(&end).expect("its end");
    assert!(!after.contains(&begin), "there is one {name}");
    (within.to_owned(), format!("{before}{begin}{end}{after}"))
}

/// Reads a part of a page.
pub(super) fn read_part(part: &str) -> Markup {
    let mut reader = Reader::from_str(part);
    reader.config_mut().check_end_names = true;
    let (mut markup, mut open) = (Markup::default(), 0);
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(start) => {
                let element = element(&start);
                assert!(!VOID.contains(&element.name.as_str()), "{element:?}");
                markup.elements.push(element);
                open += 1;
            }
            Event::Empty(start) => {
                let element = element(&start);
                // In SVG, which is foreign to HTML, an element may end by itself.
                let may = VOID.contains(&element.name.as_str()) || element.name == "rect";
                assert!(may, "{element:?}");
                markup.elements.push(element);
            }
            Event::End(_) => open -= 1,
            Event::Text(text) => markup.text.push_str(&text.decode().expect("UTF-8")),
            Event::GeneralRef(reference) => {
                markup
                    .text
                    .push(match &*reference.decode().expect("UTF-8") {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "#39" => '\'',
                        other => panic!("&{other};"),
                    });
            }
            Event::Eof => break,
            other @ (Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)) => panic!("{other:?} has no place here"),
        }
    }
    assert_eq!(open, 0, "everything has its end");
    markup
}

fn element(start: &BytesStart<'_>) -> Element {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let attributes = start.attributes().map(|attribute| {
        let attribute = attribute.expect("a good attribute, once");
        let value = attribute.normalized_value(XmlVersion::Explicit1_0);
        let value = value.expect("known references").into_owned();
        (text(attribute.key.as_ref()), value)
    });
    Element {
        attributes: attributes.collect(),
        name: text(start.name().as_ref()),
    }
}

/// What is true of every page: known elements and attributes alone, links within it alone that lead
/// somewhere, every place named once, and no character that is not seen.
pub(super) fn check(markup: &Markup) {
    for element in &markup.elements {
        assert!(ELEMENTS.contains(&element.name.as_str()), "{element:?}");
        for (name, value) in &element.attributes {
            assert!(ATTRIBUTES.contains(&name.as_str()), "{element:?}");
            assert!(!value.chars().any(is_hidden), "{element:?}");
        }
    }
    let hidden = |c: char| c != '\n' && is_hidden(c);
    let around = markup.text.find(hidden).map(|at| &markup.text[at..]);
    let around = around.map(|text| text.chars().take(40).collect::<String>());
    assert_eq!(around, None, "nothing hidden");

    let all: Vec<&str> = markup.values("id").collect();
    let ids: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(all.len(), ids.len(), "every id is there once");
    for link in markup.values("href").filter(|link| *link != "data:,") {
        let target = link.strip_prefix('#').expect("a link within the page");
        assert!(ids.contains(target), "{link} leads nowhere");
    }
    for label in markup.values("aria-labelledby") {
        assert!(ids.contains(label), "{label} names nothing");
    }
}
