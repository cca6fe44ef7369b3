//! Steps about files: fetched by hash, unpacked, installed as programs.

use assay_wire::digest::Digest;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::model::{Download, Extract, InstallBinaries};
use crate::name::WireName as _;
use crate::system::{BinaryPath, FileMode};
use crate::table::{Reader, Table};

/// Most leading components of a name that can be dropped; no archive is nested deeper.
const MOST_COMPONENTS: u32 = 100;

/// `download`.
pub(super) fn read_download(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Download> {
    let url = reader.parsed(table, "url", str::parse);
    let url = reader.required(table, "url", url);
    let sha256 = reader.parsed(table, "sha256", Digest::read);
    let sha256 = reader.required_hash(table, "sha256", sha256);
    let dest = reader.parsed(table, "dest", str::parse);
    let dest = reader.required(table, "dest", dest);
    Some(Download {
        url: url?,
        sha256: sha256?,
        dest: dest?,
    })
}

/// `extract`.
pub(super) fn read_extract(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Extract> {
    let archive = reader.parsed(table, "archive", str::parse);
    let archive = reader.required(table, "archive", archive);
    let dest = reader.parsed(table, "dest", str::parse);
    let dest = reader.required(table, "dest", dest);
    let mut strip_components = 0;
    if let Some(number) = reader.integer(table, "strip_components") {
        let within = number.value.and_then(|number| u32::try_from(number).ok());
        match within.filter(|number| *number <= MOST_COMPONENTS) {
            Some(number) => strip_components = number,
            None => {
                let message = format!("`strip_components` is not within 0 and {MOST_COMPONENTS}");
                reader
                    .faults
                    .report(Diagnostic::new(Code::InvalidNumber, number.span, message));
            }
        }
    }
    Some(Extract {
        archive: archive?,
        dest: dest?,
        strip_components,
    })
}

/// `install_binaries`.
pub(super) fn read_install_binaries(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
) -> Option<InstallBinaries> {
    let from = reader.parsed(table, "from", str::parse);
    let from = reader.required(table, "from", from);
    let binaries = reader.list(table, "binaries", str::parse::<BinaryPath>);
    let binaries = reader.required(table, "binaries", binaries);
    let dest = match table.has("dest") {
        true => reader.parsed(table, "dest", str::parse),
        false => "/usr/local/bin"
            .parse()
            .ok()
            .map(|dest| Spanned::new(dest, table.span)),
    };
    let mode = match table.has("mode") {
        true => reader.parsed(table, "mode", str::parse),
        false => Some(Spanned::new(FileMode::PROGRAM, table.span)),
    };
    let binaries = binaries?;
    for (at, binary) in binaries.iter().enumerate() {
        let name = binary.value.name();
        let first = binaries[..at]
            .iter()
            .find(|other| other.value.name() == name);
        if let Some(first) = first {
            let message =
                format!("two files are installed as `{name}`: the second replaces the first");
            let diagnostic = Diagnostic::new(Code::DuplicateEntry, binary.span, message)
                .labelled("again")
                .and(first.span, "first");
            reader.faults.report(diagnostic.help("remove one of them"));
        }
    }
    Some(InstallBinaries {
        from: from?,
        binaries,
        dest: dest?,
        mode: mode?,
    })
}
