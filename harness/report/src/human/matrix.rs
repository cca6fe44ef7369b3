//! The matrix: recipes down, targets across, a symbol and a word in every cell. A table too wide
//! for the page is cut into bands of columns.

use std::collections::BTreeMap;
use std::io;

use assay_observe::expectation::Verdict;
use assay_observe::{CellRecord, Record};
use assay_wire::outcome::OutcomeKind;

use super::page::{Colour, Page};
use crate::sanitise;
use crate::words::{Column, column_of, column_title, columns, recipes, sign, snapshot_differs};

/// Writes the matrix and the meaning of those of its signs that need one.
pub(super) fn write(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let columns = columns(record);
    let mut rows: Vec<String> = Vec::new();
    let mut row_of: BTreeMap<String, usize> = BTreeMap::new();
    let mut cells: BTreeMap<(usize, usize), &CellRecord> = BTreeMap::new();
    for cell in &record.cells {
        let name = recipes(cell);
        let row = *row_of.entry(name.clone()).or_insert_with(|| {
            rows.push(name);
            rows.len() - 1
        });
        if let Some(column) = column_of(&columns, cell) {
            cells.insert((row, column), cell);
        }
    }
    let longest = rows
        .iter()
        .map(|row| row.chars().count())
        .max()
        .unwrap_or(0);
    let name_width = longest.min(page.width / 3);
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            let texts = (0..rows.len()).filter_map(|row| cells.get(&(row, column)));
            let widest = texts
                .map(|cell| text(cell).chars().count())
                .max()
                .unwrap_or(0);
            widest.max(column_title(columns[column]).chars().count())
        })
        .collect();
    for (index, band) in bands(&widths, page.width.saturating_sub(name_width))
        .into_iter()
        .enumerate()
    {
        if index > 0 {
            page.blank()?;
        }
        write_band(page, &columns, &rows, &cells, &widths, name_width, band)?;
    }
    legend(record, page)
}

fn write_band(
    page: &mut Page<'_>,
    columns: &[Column<'_>],
    rows: &[String],
    cells: &BTreeMap<(usize, usize), &CellRecord>,
    widths: &[usize],
    name_width: usize,
    band: std::ops::Range<usize>,
) -> io::Result<()> {
    let pad = |text: &str, width: usize| {
        let text = sanitise::line(text, width);
        let missing = width - text.chars().count().min(width);
        format!("  {text}{}", " ".repeat(missing))
    };
    let name = |text: &str| pad(text, name_width).split_off(2);
    let headers = band
        .clone()
        .map(|column| pad(&column_title(columns[column]), widths[column]));
    page.spans(&[
        (Colour::Plain, &name("")),
        (Colour::Bold, &headers.collect::<String>()),
    ])?;
    for (index, row) in rows.iter().enumerate() {
        let texts: Vec<(Colour, String)> = band
            .clone()
            .map(|column| match cells.get(&(index, column)) {
                Some(cell) => (colour(cell), pad(&text(cell), widths[column])),
                None => (Colour::Plain, pad("", widths[column])),
            })
            .collect();
        if texts.iter().all(|(_, text)| text.trim().is_empty()) {
            continue;
        }
        let row = name(row);
        let mut spans = vec![(Colour::Plain, row.as_str())];
        spans.extend(texts.iter().map(|(colour, text)| (*colour, text.as_str())));
        page.spans(&spans)?;
    }
    Ok(())
}

/// Cuts columns of these widths, each with a gap of two before it, into bands that fit; a column
/// wider than a band stands alone.
fn bands(widths: &[usize], room: usize) -> Vec<std::ops::Range<usize>> {
    let mut bands = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (column, width) in widths.iter().enumerate() {
        if column > start && used + width + 2 > room {
            bands.push(start..column);
            (start, used) = (column, 0);
        }
        used += width + 2;
    }
    if start < widths.len() {
        bands.push(start..widths.len());
    }
    bands
}

fn text(cell: &CellRecord) -> String {
    let symbol = sign(cell);
    let mark = if snapshot_differs(cell) { " Δ" } else { "" };
    format!(
        "{symbol} {}{mark}",
        cell.outcome.kind().as_str().replace('_', " ")
    )
}

fn colour(cell: &CellRecord) -> Colour {
    match (cell.verdict, cell.outcome.kind()) {
        (Verdict::Differs, _) => Colour::Red,
        (Verdict::NoResult, _) => Colour::Yellow,
        (Verdict::AsExpected, _) if snapshot_differs(cell) => Colour::Yellow,
        (Verdict::AsExpected, OutcomeKind::Passed) => Colour::Green,
        (
            Verdict::AsExpected,
            OutcomeKind::Failed
            | OutcomeKind::Unsupported
            | OutcomeKind::Manual
            | OutcomeKind::Infra
            | OutcomeKind::NotRun
            | OutcomeKind::Cancelled,
        ) => Colour::Dim,
    }
}

fn legend(record: &Record, page: &mut Page<'_>) -> io::Result<()> {
    let any = |sign: &str| record.cells.iter().any(|cell| text(cell).contains(sign));
    let signs = [
        ("✗", "✗ not as expected"),
        ("~", "~ failed as `expected.toml` says"),
        ("○", "○ a step has to be done by hand"),
        ("–", "– nothing to install there"),
        ("!", "! no result"),
        ("Δ", "Δ the plan has no snapshot or differs from it"),
    ];
    let used: Vec<&str> = signs
        .iter()
        .filter(|(sign, _)| any(sign))
        .map(|(_, text)| *text)
        .collect();
    if used.is_empty() {
        return Ok(());
    }
    page.blank()?;
    page.coloured(Colour::Dim, &used.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_hold_every_column_once_and_fit() {
        assert_eq!(bands(&[10, 10, 10], 24), [0..2, 2..3]);
        assert_eq!(
            bands(&[10, 10, 10], 36),
            std::iter::once(0..3).collect::<Vec<_>>()
        );
        assert_eq!(bands(&[50, 1], 10), [0..1, 1..2]);
        assert!(bands(&[], 10).is_empty());
    }
}
