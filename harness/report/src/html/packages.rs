//! Where packages came from: who vouches for each, as it really is – its own signature, or that of an index
//! that lists its hash – and what has none says so.

use std::collections::BTreeMap;

use assay_observe::delta::PackageFact;
use assay_wire::package::{Chain, KeyPlace, Signature};

use super::Cell;
use super::page::{Anchor, Page};

/// Writes the packages that came, those of one chain together.
pub(super) fn write(cell: &Cell<'_>, page: &mut Page) {
    let all = &cell.record.delta.packages;
    if all.is_empty() {
        return;
    }
    let verified = all
        .iter()
        .filter(|package| package.chain.is_verified())
        .count();
    page.markup("<details class=\"packages\"><summary>Packages <span class=\"n\">")
        .count(all.len());
    page.markup(", ")
        .count(verified)
        .markup(" covered by a good signature</span>");
    if verified < all.len() {
        page.markup(" <span class=\"flag warn\">")
            .count(all.len() - verified)
            .markup(" by none</span>");
    }
    page.markup("</summary>\n<div class=\"body\"")
        .id(Anchor::Packages(cell.number))
        .markup(">\n");
    let groups = together(all);
    let mut room = page.detail.rows;
    let left = page.each(&groups, room, |page, (chain, packages)| {
        links(chain, packages.len(), page);
        table(packages, &mut room, page);
    });
    page.more(left, "<p>", "</p>\n");
    page.markup("</div>\n</details>\n");
}

/// Packages of one chain, in the order of the first of each.
fn together(all: &[PackageFact]) -> Vec<(&Chain, Vec<&PackageFact>)> {
    let mut groups: Vec<(&Chain, Vec<&PackageFact>)> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for package in all {
        // Each own signature is another; what makes a chain is by whom.
        let name = format!("{:?}", package.chain);
        let group = *known.entry(name).or_insert(groups.len());
        match groups.get_mut(group) {
            Some((_, packages)) => packages.push(package),
            None => groups.push((&package.chain, vec![package])),
        }
    }
    groups.sort_by_key(|(chain, _)| chain.is_verified());
    groups
}

/// The chain itself, link by link.
fn links(chain: &Chain, packages: usize, page: &mut Page) {
    page.markup("<ol class=\"chain\">\n<li><b>")
        .counted(packages as u64, "package", "packages")
        .markup("</b></li>\n");
    match (&chain.own, &chain.index) {
        (Signature::None, None) => {
            page.markup("<li class=\"bad\"><b>✗ unsigned</b> No signature of its own, and no index that came lists its hash.</li>\n");
        }
        (own, index) => {
            if let Signature::None = own {
                page.markup("<li>no signature of its own</li>\n");
            } else {
                signature("signed itself", own, page);
            }
            if let Some(index) = index {
                page.markup("<li>its hash is listed by <code>")
                    .text(&index.url)
                    .markup("</code></li>\n");
                signature("which is signed", &index.signature, page);
            }
        }
    }
    page.markup("</ol>\n");
}

fn signature(what: &'static str, signature: &Signature, page: &mut Page) {
    match signature {
        Signature::None => {
            page.markup("<li class=\"bad\"><b>✗ unsigned</b> Nobody signed that.</li>\n");
        }
        Signature::Verified { fingerprint, key } => {
            page.markup("<li class=\"good\"><b>✓</b> ")
                .markup(what)
                .markup(" by <code>");
            page.text(fingerprint).markup("</code> ");
            match key {
                KeyPlace::Declared { step } => page
                    .markup("a key that the step <b>")
                    .text(step.to_string())
                    .markup("</b> declares"),
                KeyPlace::Image { path } => page
                    .markup("a key of the image, <code>")
                    .text(path)
                    .markup("</code>"),
            };
            page.markup("</li>\n");
        }
        Signature::UnknownKey { key } => {
            page.markup("<li class=\"warn\"><b>!</b> ")
                .markup(what)
                .markup(" by <code>")
                .text(key);
            page.markup("</code>, a key that nobody here has</li>\n");
        }
        Signature::Bad { message } => {
            page.markup("<li class=\"bad\"><b>✗ a bad signature:</b> ")
                .text(message)
                .markup("</li>\n");
        }
    }
}

fn table(packages: &[&PackageFact], room: &mut usize, page: &mut Page) {
    page.markup("<table>\n<caption>What it covers</caption>\n<thead><tr>");
    for name in ["Package", "Version", "Step"] {
        page.markup("<th scope=\"col\">")
            .markup(name)
            .markup("</th>");
    }
    for name in ["Paths as it has them", "Scripts that ran"] {
        page.markup("<th scope=\"col\" class=\"number\">")
            .markup(name)
            .markup("</th>");
    }
    page.markup("<th scope=\"col\">sha256</th>");
    page.markup("</tr></thead>\n<tbody>\n");
    let most = *room;
    let left = page.each(packages, most, |page, package| row(package, page));
    *room = room.saturating_sub(packages.len());
    page.more(left, "<tr><td colspan=\"6\">", "</td></tr>\n");
    page.markup("</tbody>\n</table>\n");
}

fn row(package: &PackageFact, page: &mut Page) {
    page.markup("<tr><th scope=\"row\">").text(&package.name);
    if let Some(why) = &package.unreadable {
        page.markup("<span class=\"field\"><b>could not be read:</b> ")
            .text(why)
            .markup("</span>");
    }
    page.markup("</th>")
        .element("td", "", package.version.as_deref().unwrap_or("–"));
    let steps: Vec<String> = package
        .steps
        .iter()
        .take(4)
        .map(ToString::to_string)
        .collect();
    page.element("td", "", steps.join(", "));
    page.markup("<td class=\"number\">").number(package.paths);
    page.markup("</td><td class=\"number\">")
        .number(package.scripts);
    page.markup("</td><td><code>")
        .text(package.sha256.short())
        .markup("</code></td></tr>\n");
}
