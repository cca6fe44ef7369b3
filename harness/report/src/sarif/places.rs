//! Where results stand: files as URIs, steps as regions of them and by their names.

use assay_observe::CellRecord;
use assay_wire::name::StepRef;
use assay_wire::source::Location;

use super::log::{Artifact, Logical, Physical, Place, Region};

/// What relative URIs are relative to.
pub(super) const BASE: &str = "%SRCROOT%";

/// Most bytes of a file's name (`PATH_MAX` of Linux): one that is longer is none.
const FILE: usize = 4096;

/// The places of steps in their recipes, in this order.
pub(super) fn of_steps(cell: &CellRecord, steps: &[StepRef]) -> Vec<Place> {
    let steps = steps.iter().map(|step| Place {
        physical_location: cell.facts.location(step).and_then(physical),
        logical_locations: vec![Logical {
            name: step.step.to_string(),
            fully_qualified_name: step.to_string(),
            kind: "step",
        }],
    });
    steps.collect()
}

/// A place in the cell's own recipe, where no step is to blame.
pub(super) fn of_recipe(cell: &CellRecord) -> Option<Place> {
    let named = &cell.facts.cell.recipes;
    let mut known = cell.facts.planned.locations.iter();
    let found = known.find(|known| named.contains(&known.step.recipe))?;
    Some(Place {
        physical_location: Some(physical(&found.location)?),
        logical_locations: Vec::new(),
    })
}

fn physical(place: &Location) -> Option<Physical> {
    let (uri, uri_base_id) = uri(&place.file)?;
    let end = (place.end_line, place.end_column);
    let end = (end > (place.line, place.column)).then_some(end);
    Some(Physical {
        artifact_location: Artifact { uri, uri_base_id },
        region: Region {
            start_line: place.line.max(1),
            start_column: place.column.max(1),
            end_line: end.map(|(line, _)| line),
            end_column: end.map(|(_, column)| column.max(1)),
        },
    })
}

/// A file as a URI (RFC 3986; SARIF 3.4.3 and 3.4.4): absolute, or relative to the named base.
fn uri(file: &str) -> Option<(String, Option<&'static str>)> {
    if file.is_empty() || file.len() > FILE {
        return None;
    }
    let mut relative = file;
    while let Some(rest) = relative.strip_prefix("./") {
        relative = rest.trim_start_matches('/');
    }
    match file.strip_prefix('/') {
        Some(rest) => Some((format!("file:///{}", encoded(rest)), None)),
        None => Some((encoded(relative), Some(BASE))),
    }
}

/// What a path may hold without being anything else: RFC 3986 3.3 without `:`, which no first segment of a
/// relative reference holds.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@/".contains(&byte);
    let mut out = String::new();
    for byte in path.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_uris() {
        for (file, shown) in [
            ("recipes/jq.toml", ("recipes/jq.toml", Some(BASE))),
            ("./jq.toml", ("jq.toml", Some(BASE))),
            (".//./jq.toml", ("jq.toml", Some(BASE))),
            ("../jq.toml", ("../jq.toml", Some(BASE))),
            ("/srv/a b.toml", ("file:///srv/a%20b.toml", None)),
            (
                "a:b#?%[é].toml",
                ("a%3Ab%23%3F%25%5B%C3%A9%5D.toml", Some(BASE)),
            ),
            ("\u{1b}[2J", ("%1B%5B2J", Some(BASE))),
        ] {
            let (uri, base) = uri(file).expect("a file");
            assert_eq!((uri.as_str(), base), shown, "{file:?}");
        }
        assert_eq!(uri(""), None);
        assert_eq!(uri(&"x".repeat(FILE + 1)), None);
    }

    #[test]
    fn a_region_begins_somewhere_and_ends_after_that() {
        let place = |line, column, end_line, end_column| Location {
            file: "a".to_owned(),
            line,
            column,
            end_line,
            end_column,
        };
        let region = |place: Location| {
            let region = physical(&place).expect("a place").region;
            (
                region.start_line,
                region.start_column,
                region.end_line,
                region.end_column,
            )
        };
        assert_eq!(region(place(3, 1, 5, 2)), (3, 1, Some(5), Some(2)));
        assert_eq!(region(place(0, 0, 0, 0)), (1, 1, None, None));
        assert_eq!(region(place(3, 7, 3, 7)), (3, 7, None, None));
    }
}
