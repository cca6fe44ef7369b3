//! What two texts differ by, line by line.

use similar::{ChangeTag, TextDiff};

use super::page::Page;

/// Most lines of either text that are compared: what is longer takes a time that its author could choose.
const COMPARED: usize = 3000;
/// Lines around a difference.
const AROUND: usize = 3;
/// Most characters of a line.
const LINE: usize = 300;

/// Writes the difference of two texts, folded away.
pub(super) fn write(was: &str, is: &str, page: &mut Page) {
    let lines = (was.lines().count(), is.lines().count());
    if lines.0 > COMPARED || lines.1 > COMPARED {
        page.markup("<span class=\"field\">too many lines to compare</span>");
        return;
    }
    let diff = TextDiff::from_lines(was, is);
    let groups = diff.grouped_ops(AROUND);
    page.markup("<details class=\"says\"><summary>");
    page.markup(match lines {
        (0, _) => "what it says",
        (_, 0) => "what it said",
        (_, _) => "what it says otherwise",
    });
    page.markup("</summary>\n<pre class=\"diff\">");
    let (mut room, mut left) = (page.detail.lines, 0);
    for (index, group) in groups.iter().enumerate() {
        if index > 0 && room > 0 {
            page.markup("<span class=\"n\">…</span>\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            if room == 0 {
                left += 1;
                continue;
            }
            room -= 1;
            let (open, close) = match change.tag() {
                ChangeTag::Equal => (" ", "\n"),
                ChangeTag::Delete => ("<del>-", "\n</del>"),
                ChangeTag::Insert => ("<ins>+", "\n</ins>"),
            };
            let line = change.value().trim_end_matches(['\n', '\r']);
            page.markup(open).text_up_to(LINE, line).markup(close);
        }
    }
    page.more(left, "", "\n");
    page.markup("</pre></details>");
}
