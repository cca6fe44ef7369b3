//! `.deb`: an `ar` archive of control data and data (deb(5)).

use std::io::{BufRead, BufReader, Read};

use sha2::{Digest as _, Sha256};

use super::tarball::{self, Tarball};
use super::{MOST_KEPT, PackageContents, PackageScript, absolute, field};
use crate::compression::decompressed;
use crate::unreadable::Unreadable;

const MAGIC: &[u8; 8] = b"!<arch>\n";

/// Members of an archive: three, and a few that deb(5) allows and nobody reads.
const MOST_MEMBERS: usize = 16;

/// The scripts that dpkg and debconf run (deb-postinst(5) and its neighbours, debconf-devel(7)).
const SCRIPTS: [&str; 5] = ["config", "preinst", "postinst", "prerm", "postrm"];

/// Reads a package.
pub(super) fn read(mut bytes: impl BufRead) -> Result<PackageContents, Unreadable> {
    let mut magic = [0; MAGIC.len()];
    bytes.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(Unreadable::Damaged("it does not begin as an `ar` archive"));
    }
    let (mut control, mut data) = (None, None);
    for _ in 0..MOST_MEMBERS {
        let Some((name, size)) = member(&mut bytes)? else {
            break;
        };
        let mut content = BufReader::new(bytes.by_ref().take(size));
        if name.starts_with("control.tar") && control.is_none() {
            let limited = decompressed(&mut content)?.take(MOST_KEPT);
            control = Some(tarball::read(limited, |_| true)?);
        } else if name.starts_with("data.tar") && data.is_none() {
            data = Some(tarball::read(decompressed(&mut content)?, |_| false)?);
        }
        // What a reader of the archive left, its end above all, belongs to the member.
        std::io::copy(&mut content, &mut std::io::sink())?;
        if size % 2 == 1 && !bytes.fill_buf()?.is_empty() {
            bytes.consume(1);
        }
    }
    let control = control.ok_or(Unreadable::Damaged("it has no control data"))?;
    let data = data.ok_or(Unreadable::Damaged("it has no data"))?;
    contents(&control, data)
}

/// Name and size of the next member; `None` at the end.
fn member(bytes: &mut impl BufRead) -> Result<Option<(String, u64)>, Unreadable> {
    if bytes.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut header = [0; 60];
    bytes.read_exact(&mut header)?;
    let damaged = Unreadable::Damaged("a member's header");
    let (Some(name), Some(size), true) = (
        std::str::from_utf8(&header[..16]).ok(),
        std::str::from_utf8(&header[48..58]).ok(),
        header.ends_with(b"`\n"),
    ) else {
        return Err(damaged);
    };
    let name = name.trim_end_matches([' ', '/']).to_owned();
    let digits = size.trim_end_matches(' ');
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(damaged);
    }
    let size = digits.parse().map_err(|_| damaged)?;
    Ok(Some((name, size)))
}

fn contents(control: &Tarball, data: Tarball) -> Result<PackageContents, Unreadable> {
    let text = |name: &str| control.kept.get(format!("/{name}").as_bytes());
    let fields = text("control").ok_or(Unreadable::Damaged("it has no file `control`"))?;
    let fields = String::from_utf8_lossy(fields);
    let value = |name| {
        let value = field(&fields, name, ":").map(str::to_owned);
        value.ok_or(Unreadable::Damaged(
            "a field of its control data is missing",
        ))
    };
    let configuration = text("conffiles").map(Vec::as_slice).unwrap_or_default();
    let configuration = String::from_utf8_lossy(configuration)
        .lines()
        // `remove-on-upgrade PATH` names what goes (deb-conffiles(5)).
        .filter(|line| line.starts_with('/'))
        .map(|line| absolute(line.as_bytes()))
        .collect::<Result<_, _>>()?;
    let scripts = SCRIPTS.iter().filter_map(|phase| {
        let script = text(phase)?;
        Some(PackageScript {
            phase: (*phase).to_owned(),
            interpreter: interpreter(script),
            sha256: Sha256::digest(script).into(),
        })
    });
    Ok(PackageContents {
        name: value("Package")?,
        version: value("Version")?,
        architecture: value("Architecture")?,
        files: data.files,
        scripts: scripts.collect(),
        configuration,
    })
}

/// The path behind a script's `#!`; empty for a program.
pub(super) fn interpreter(script: &[u8]) -> String {
    let line = script
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let words = line.strip_prefix(b"#!").unwrap_or_default();
    let words = String::from_utf8_lossy(words);
    words
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}
