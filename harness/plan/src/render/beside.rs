//! A set on many targets as text for people: a table where the columns have room, else a block of
//! what is alike and one for each column; below it what differs, and why.

use super::quote::{visible_line, wrapped};
use crate::beside::{Beside, Column, Row};

/// Narrowest column of a table that can be read, in characters.
const NARROWEST: usize = 16;

/// Widest column that is of use.
const WIDEST: usize = 44;

/// Between two columns.
const GAP: usize = 2;

/// What stands where nothing is done.
const NOTHING: &str = "–";

/// A set on many targets in lines of at most `width` characters, wherever a word has room.
#[must_use]
pub fn render_beside(beside: &Beside, width: usize, colored: bool) -> String {
    let paint = Paint(colored);
    let recipes: Vec<&str> = beside.recipes.iter().map(|name| name.as_str()).collect();
    let count: usize = beside
        .columns
        .iter()
        .map(|column| column.targets.len())
        .sum();
    let all = count + beside.unsupported.len();
    let mut text = String::new();
    let title = format!("{} on {}", recipes.join(", "), targets(all));
    for line in wrapped(&title, width) {
        text.push_str(&format!("{}\n", paint.bold(&line)));
    }
    let labels: Vec<String> = beside.rows.iter().map(|row| label(beside, row)).collect();
    let widest = labels.iter().map(|label| label.chars().count()).max();
    let label_width = widest
        .unwrap_or_default()
        .clamp("manager".len(), (width * 2 / 5).clamp(12, 32));
    let columns = beside.columns.len();
    let room = width.saturating_sub(2 + label_width);
    let column_width = (room / columns.max(1)).saturating_sub(GAP).min(WIDEST);
    if columns > 0 {
        text.push('\n');
        if column_width >= NARROWEST || columns == 1 {
            table(
                &mut text,
                beside,
                &labels,
                label_width,
                column_width.max(NARROWEST),
                paint,
            );
        } else {
            blocks(&mut text, beside, &labels, label_width, width, paint);
        }
    }
    let differing: Vec<(&String, &Row)> = labels
        .iter()
        .zip(&beside.rows)
        .filter(|(_, row)| !row.differs.is_empty())
        .collect();
    if columns > 1 && differing.is_empty() {
        text.push_str("\nThe same is done everywhere.\n");
    }
    if !differing.is_empty() {
        text.push_str(&format!("\n{}\n", paint.bold("What differs")));
        for (label, row) in differing {
            for sentence in &row.differs {
                let whole = format!("{label}: {}", visible_line(sentence));
                for (at, line) in wrapped(&whole, width.saturating_sub(4)).iter().enumerate() {
                    let mark = if at == 0 {
                        paint.mark("*")
                    } else {
                        " ".to_owned()
                    };
                    text.push_str(&format!(
                        "{mark} {}{line}\n",
                        if at == 0 { "" } else { "  " }
                    ));
                }
            }
        }
    }
    if !beside.unsupported.is_empty() {
        text.push_str(&format!("\n{}\n", paint.bold("Unsupported")));
        for one in &beside.unsupported {
            let whole = format!("{}: {}", one.target, visible_line(&one.reason));
            for (at, line) in wrapped(&whole, width.saturating_sub(4)).iter().enumerate() {
                text.push_str(&format!("  {}{line}\n", if at == 0 { "" } else { "  " }));
            }
        }
    }
    text
}

fn targets(count: usize) -> String {
    match count {
        1 => "1 target".to_owned(),
        several => format!("{several} targets"),
    }
}

/// What a row is about; with its recipe where there are several.
fn label(beside: &Beside, row: &Row) -> String {
    let recipe = if beside.recipes.len() > 1 {
        format!("{} ", row.recipe)
    } else {
        String::new()
    };
    let subject = if row.subject.is_empty() {
        String::new()
    } else {
        format!(" {}", visible_line(&row.subject))
    };
    format!("{recipe}{}{subject}", row.kind.as_str())
}

fn header(column: &Column) -> String {
    let names: Vec<&str> = column
        .targets
        .iter()
        .map(|target| target.as_str())
        .collect();
    names.join(" ")
}

fn table(
    text: &mut String,
    beside: &Beside,
    labels: &[String],
    label_width: usize,
    column_width: usize,
    paint: Paint,
) {
    let mut line = |marked: bool, label: &str, cells: &[Option<String>], bold: bool| {
        let label = wrapped(label, label_width);
        let cells: Vec<(bool, Vec<String>)> = cells
            .iter()
            .map(|cell| {
                let shown = cell.as_deref().unwrap_or(NOTHING);
                (cell.is_none(), wrapped(shown, column_width))
            })
            .collect();
        let height = cells.iter().map(|(_, lines)| lines.len()).max();
        for at in 0..height.unwrap_or_default().max(label.len()) {
            let mark = if marked && at == 0 {
                paint.mark("*")
            } else {
                " ".to_owned()
            };
            let name = label.get(at).map_or("", String::as_str);
            let mut whole = format!("{mark} {}", padded(name, label_width));
            for (nothing, lines) in &cells {
                let shown = lines.get(at).map_or("", String::as_str);
                whole.push_str(&" ".repeat(GAP));
                whole.push_str(&match (nothing, bold) {
                    (true, _) => paint.mark(shown),
                    (false, true) => paint.bold(shown),
                    (false, false) => shown.to_owned(),
                });
                let missing = column_width.saturating_sub(shown.chars().count());
                whole.push_str(&" ".repeat(missing));
            }
            text.push_str(whole.trim_end());
            text.push('\n');
        }
    };
    let headers: Vec<Option<String>> = beside
        .columns
        .iter()
        .map(|column| Some(header(column)))
        .collect();
    line(false, "", &headers, true);
    line(false, "manager", &managers(beside), false);
    for (label, row) in labels.iter().zip(&beside.rows) {
        let cells: Vec<Option<String>> = row
            .cells
            .iter()
            .map(|cell| cell.as_deref().map(visible_line))
            .collect();
        line(!row.differs.is_empty(), label, &cells, false);
    }
}

fn managers(beside: &Beside) -> Vec<Option<String>> {
    let managers = beside.columns.iter();
    managers
        .map(|column| column.manager.map(str::to_owned))
        .collect()
}

fn blocks(
    text: &mut String,
    beside: &Beside,
    labels: &[String],
    label_width: usize,
    width: usize,
    paint: Paint,
) {
    let managers = managers(beside);
    let mut block = |title: &str, rows: &[(&str, &Option<String>, bool)]| {
        if rows.is_empty() {
            return;
        }
        for line in wrapped(title, width) {
            text.push_str(&format!("{}\n", paint.bold(&line)));
        }
        for (label, cell, marked) in rows {
            entry(
                text,
                label,
                cell.as_deref(),
                *marked,
                (label_width, width),
                paint,
            );
        }
        text.push('\n');
    };
    // What is alike everywhere is said once.
    let rows: Vec<(&str, &Row)> = labels
        .iter()
        .map(String::as_str)
        .zip(&beside.rows)
        .collect();
    let alike = |row: &Row| row.cells.windows(2).all(|pair| pair[0] == pair[1]);
    let shared: Vec<(&str, &Option<String>, bool)> = rows
        .iter()
        .filter(|(_, row)| alike(row))
        .map(|(label, row)| (*label, &row.cells[0], false))
        .collect();
    if shared.len() == rows.len() {
        let all: Vec<String> = beside.columns.iter().map(header).collect();
        block(&all.join(" "), &shared);
    } else {
        block("on all of them", &shared);
    }
    let differing = shared.len() < rows.len();
    for (at, column) in beside.columns.iter().enumerate().filter(|_| differing) {
        let manager = ("manager", &managers[at], false);
        let own = rows
            .iter()
            .filter(|(_, row)| !alike(row))
            .map(|(label, row)| (*label, &row.cells[at], !row.differs.is_empty()));
        let own: Vec<(&str, &Option<String>, bool)> = std::iter::once(manager).chain(own).collect();
        block(&header(column), &own);
    }
    text.truncate(text.trim_end_matches('\n').len());
    text.push('\n');
}

/// A row of a block.
fn entry(
    text: &mut String,
    label: &str,
    cell: Option<&str>,
    marked: bool,
    (label_width, width): (usize, usize),
    paint: Paint,
) {
    let room = width.saturating_sub(label_width + 6).max(NARROWEST);
    let shown = cell.map_or_else(|| NOTHING.to_owned(), visible_line);
    let (names, lines) = (wrapped(label, label_width), wrapped(&shown, room));
    for at in 0..names.len().max(lines.len()) {
        let mark = if marked && at == 0 {
            paint.mark("*")
        } else {
            " ".to_owned()
        };
        let value = lines.get(at).map_or("", String::as_str);
        let value = if cell.is_none() {
            paint.mark(value)
        } else {
            value.to_owned()
        };
        let name = names.get(at).map_or("", String::as_str);
        let whole = format!("  {mark} {}  {value}", padded(name, label_width));
        text.push_str(whole.trim_end());
        text.push('\n');
    }
}

fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.trim().is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What a reader should not miss.
    fn mark(self, text: &str) -> String {
        self.with("33", text)
    }
}
