//! Files of lines, sections and comments: what is left of them once comments and blank lines are gone.

use super::squeezed;

/// How comments begin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Comments {
    /// A line that begins with `#`.
    Hash,
    /// The same, but `#include`, `#includedir` and `#uid` are none (sudoers(5)).
    HashOfSudoers,
    /// A line that begins with `#` or `;`.
    HashOrSemicolon,
    /// A line that begins with `//`.
    Slashes,
    /// From `<!--` to `-->`.
    Xml,
}

/// The lines that count, with any white space as one blank. Where a line ends in a backslash the next
/// one belongs to it.
pub(super) fn lines(text: &str, comments: Comments) -> Vec<String> {
    let without;
    let text = match comments {
        Comments::Xml => {
            without = without_xml_comments(text);
            &without
        }
        Comments::Hash
        | Comments::HashOfSudoers
        | Comments::HashOrSemicolon
        | Comments::Slashes => text,
    };
    let is_comment = |line: &str| match comments {
        Comments::Hash => line.starts_with('#'),
        Comments::HashOfSudoers => line.strip_prefix('#').is_some_and(|rest| {
            !rest.starts_with("include") && !rest.starts_with(|c: char| c.is_ascii_digit())
        }),
        Comments::HashOrSemicolon => line.starts_with(['#', ';']),
        Comments::Slashes => line.starts_with("//"),
        Comments::Xml => false,
    };
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        // What follows a backslash is no comment to every reader: it is kept.
        if !goes_on && (line.trim().is_empty() || is_comment(line.trim_start())) {
            continue;
        }
        let (line, more) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        let words = squeezed(line);
        match lines.last_mut() {
            Some(last) if goes_on => {
                last.push(' ');
                last.push_str(&words);
            }
            _ => lines.push(words),
        }
        goes_on = more;
    }
    lines
}

/// The values of a key of any section, in order.
pub(super) fn values<'l>(lines: &'l [String], key: &str) -> impl Iterator<Item = &'l str> {
    lines.iter().filter_map(move |line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// Sections with the lines in them; what stands before the first is one without a name.
pub(super) fn sections(lines: &[String]) -> Vec<(&str, &[String])> {
    let name = |line: &String| line.starts_with('[') && line.ends_with(']');
    let mut sections = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let (title, body) = match rest.split_first() {
            Some((first, body)) if name(first) => (&first[1..first.len() - 1], body),
            _ => ("", rest),
        };
        let end = body.iter().position(name).unwrap_or(body.len());
        sections.push((title, &body[..end]));
        rest = &body[end..];
    }
    sections
}

/// What is not closed is no comment.
fn without_xml_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        let Some((_, behind)) = after.split_once("-->") else {
            break;
        };
        out.push_str(before);
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_left() {
        for (comments, text, wanted) in [
            (
                Comments::Hash,
                "# a\n\n  # b\n c   d \n;e\n",
                vec!["c d", ";e"],
            ),
            (Comments::HashOrSemicolon, ";e\n#f\ng\n", vec!["g"]),
            (Comments::Hash, "a \\\n # b\nc", vec!["a # b", "c"]),
            (Comments::Slashes, "// a\nb // c", vec!["b // c"]),
            (
                Comments::Xml,
                "<a><!-- x\ny --><b/>\n<!-- z",
                vec!["<a><b/>", "<!-- z"],
            ),
        ] {
            assert_eq!(lines(text, comments), wanted, "{text}");
        }
    }

    #[test]
    fn sections_hold_their_lines() {
        let lines = lines("x=0\n[a]\nx = 1\n[b]\n[c]\nx=2", Comments::Hash);
        let found: Vec<_> = sections(&lines)
            .into_iter()
            .map(|(name, lines)| (name, lines.len()))
            .collect();
        assert_eq!(found, [("", 1), ("a", 1), ("b", 0), ("c", 1)]);
        assert_eq!(values(&lines, "x").collect::<Vec<_>>(), ["0", "1", "2"]);
    }
}
