//! What is shown to people, and what was kept to be compared with it.

use assay_plan::render::quote::{command_line, visible, visible_line};
use assay_plan::snapshot::{
    SnapshotMeta, compare_snapshot, decode_snapshot, encode_snapshot, unified_diff,
};
use assay_report::sanitise;
use assay_wire::event::SnapshotFinding;

use super::{assert_loggable, parts, text};

/// Any text, made fit for a terminal in every way there is. The first two bytes are limits.
pub fn sanitise(bytes: &[u8]) {
    let Some(([lines, columns], bytes)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let (lines, columns) = (usize::from(*lines), usize::from(*columns));
    let text = text(bytes);
    let one = sanitise::line(&text, columns);
    assert_line(&one, columns);
    assert_eq!(
        sanitise::line(&one, columns),
        one,
        "a line that is fit stays"
    );
    let last = sanitise::last_lines(&text, lines, columns);
    assert!(last.len() <= lines);
    last.iter().for_each(|line| assert_own_line(line, columns));
    let block = sanitise::block(&text, lines, columns);
    assert!(block.len() <= lines + 1, "and how many more there are");
    block.iter().for_each(|line| assert_own_line(line, columns));
    let words: Vec<&str> = text.split('\n').collect();
    assert_line(&sanitise::command(&words, columns), columns);
    assert_loggable(&command_line(&words));
    assert_loggable(&visible(&text));
    let line = visible_line(&text);
    assert!(!line.contains('\n'), "{line:?}");
    assert_loggable(&line);
}

fn assert_line(line: &str, columns: usize) {
    assert_loggable(line);
    assert!(!line.contains('\n'), "{line:?}");
    assert!(
        line.chars().count() <= columns,
        "{columns} columns: {line:?}"
    );
}

/// One that stands by itself, and may be the first in a line of a log.
fn assert_own_line(line: &str, columns: usize) {
    assert_line(line, columns);
    assert!(!line.trim_start().starts_with("::"), "{line:?}");
}

/// A snapshot's file against a plan's text: the same only if they say the same.
pub fn snapshot(bytes: &[u8]) {
    let text = text(bytes);
    let meta = SnapshotMeta {
        source: parts::<1>(&text)[0].to_owned(),
        expression: "assay plan it".to_owned(),
    };
    let Some(body) = decode_snapshot(&text) else {
        return;
    };
    let file = encode_snapshot(&body, &meta);
    assert_eq!(
        decode_snapshot(&file).as_ref(),
        Some(&body),
        "written and read"
    );
    assert_eq!(compare_snapshot(Some(&file), &body), SnapshotFinding::Same);
    assert_eq!(compare_snapshot(Some(&text), &body), SnapshotFinding::Same);
    assert_eq!(unified_diff(&body, &body), "");
    let other = format!("{body}\none more");
    let found = compare_snapshot(Some(&text), &other);
    assert!(
        matches!(found, SnapshotFinding::Different { .. }),
        "{found:?}"
    );
}
