//! Files that are special by where they lie ([`kind_of_file`]): what each says before and after, in the
//! words that count. Equal words are no operation; words nobody can read are the file's hash.

use assay_wire::digest::Digest;
use assay_wire::manifest::{Content, Entry, EntryKind, PathChange};
use assay_wire::privileged::{FileText, Kind, KindName, is_special_file, kind_of_file};

use super::lines::{Comments, lines};
use super::{Found, SHOWN, Users, WORDS, cut, keys, permissions, schedule, sources, text, units};

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    /// What stands for it.
    says: FileText,
    /// In one line, for reading.
    shown: String,
}

/// What a change of a special file means.
pub(super) fn found(change: &PathChange, users: &Users) -> Vec<Found> {
    let Some(kind) = kind_of(&change.path, None) else {
        return Vec::new();
    };
    let name = kind.name();
    let said = |entry: &Option<Entry>| {
        let entry = entry.as_ref()?;
        Some(said(name, &change.path, entry, users))
    };
    let (before, after) = (said(&change.before), said(&change.after));
    if before == after {
        return Vec::new();
    }
    if change.before.is_none()
        && after
            .as_ref()
            .is_some_and(|said| says_nothing(&change.path, said))
    {
        return Vec::new();
    }
    // A socket cannot be opened (open(2), `ENXIO`): nobody reads a key or a setting in it.
    let has_no_words = |entry: &Option<Entry>| {
        let entry = entry.as_ref();
        entry.is_none_or(|entry| match entry.kind {
            EntryKind::Folder => !is_open(&change.path, entry),
            EntryKind::Socket => true,
            EntryKind::File
            | EntryKind::Symlink
            | EntryKind::Fifo
            | EntryKind::CharDevice
            | EntryKind::BlockDevice => false,
        })
    };
    if has_no_words(&change.before) && has_no_words(&change.after) {
        return Vec::new();
    }
    if name == KindName::PkgSource
        && let Some(found) = places(change)
    {
        return found;
    }
    let kind = match (&change.after, &change.before) {
        (Some(entry), _) if is_link(entry) && is_of_units(name) => {
            units::link(&change.path, entry.points_to.as_deref().unwrap_or_default())
        }
        (Some(_), _) => special(&change.path, after.as_ref()),
        // What is gone says nothing.
        (None, _) => special(&change.path, None),
    };
    vec![Found {
        before: before.map(|said| said.shown),
        after: after.map(|said| said.shown),
        ..Found::of(kind, change)
    }]
}

/// True for a file of settings, systemd's own or a PAM module's, in which every line is a comment. Anywhere
/// else an empty file hides one of the same name.
fn says_nothing(path: &str, said: &Said) -> bool {
    let name = path.strip_prefix("/etc/systemd/");
    let is_settings = name.is_some_and(|name| name.ends_with(".conf") && !name.contains('/'))
        || path.starts_with("/etc/security/");
    is_settings && said.says == FileText::Words(String::new())
}

fn is_of_units(name: KindName) -> bool {
    matches!(
        name,
        KindName::UnitFile | KindName::Timer | KindName::Socket
    )
}

fn is_link(entry: &Entry) -> bool {
    entry.kind == EntryKind::Symlink
}

/// A kind of place, with what its file says; nothing at all if it is gone.
fn special(path: &str, said: Option<&Said>) -> Kind {
    let says = said.map_or(FileText::Words(String::new()), |said| said.says.clone());
    let digest = match &says {
        FileText::Sha256(digest) => Some(*digest),
        FileText::Words(_) | FileText::Unread => None,
    };
    let kind = kind_of(path, digest);
    let kind = kind.expect("the place was special a moment ago");
    match digest {
        Some(_) => kind,
        None => with_words(kind, says),
    }
}

/// The kind with these words in place of what nobody has read.
pub(crate) fn with_words(mut kind: Kind, words: FileText) -> Kind {
    match &mut kind {
        Kind::Sudoers { says, .. }
        | Kind::Polkit { says, .. }
        | Kind::Pam { says, .. }
        | Kind::SshKey { says, .. }
        | Kind::CaAdd { says, .. }
        | Kind::PkgHook { says, .. }
        | Kind::UnitFile { says, .. }
        | Kind::Socket { says, .. }
        | Kind::Timer { says, .. }
        | Kind::Cron { says, .. }
        | Kind::At { says, .. }
        | Kind::RcScript { says, .. }
        | Kind::Udev { says, .. }
        | Kind::Profile { says, .. }
        | Kind::Xdg { says, .. }
        | Kind::DbusService { says, .. }
        | Kind::LdPreload { says, .. }
        | Kind::LdConf { says, .. }
        | Kind::Kmod { says, .. }
        | Kind::Sysctl { says, .. } => *says = words,
        Kind::PkgSource { .. } => {
            if let Kind::PkgSource {
                place: assay_wire::privileged::SourcePlace::File { says, .. },
                ..
            } = &mut kind
            {
                *says = words;
            }
        }
        // They say nothing but what they are.
        Kind::PkgKey { .. }
        | Kind::ExecRoot { .. }
        | Kind::MaintscriptRun { .. }
        | Kind::FileWrite { .. }
        | Kind::FileDelete { .. }
        | Kind::FileSetuid { .. }
        | Kind::FileSetgid { .. }
        | Kind::FileCapability { .. }
        | Kind::UserAdd { .. }
        | Kind::GroupAdd { .. }
        | Kind::GroupMember { .. }
        | Kind::UnitEnabled { .. }
        | Kind::UnitStarted { .. }
        | Kind::NetListen { .. }
        | Kind::NetConnect { .. }
        | Kind::Mount { .. }
        | Kind::Namespace { .. }
        | Kind::Chroot { .. }
        | Kind::Ptrace { .. }
        | Kind::Bpf { .. }
        | Kind::MemfdExec { .. }
        | Kind::Accompanying { .. }
        | Kind::CaptureGap { .. } => {}
    }
    kind
}

/// The kind of a place. A path too long to be one of a plan's is no special place's either: none of
/// what reads these folders can name it.
fn kind_of(path: &str, sha256: Option<Digest>) -> Option<Kind> {
    let path = is_special_file(path).then(|| path.parse().ok())??;
    kind_of_file(&path, sha256)
}

fn said(kind: KindName, path: &str, entry: &Entry, users: &Users) -> Said {
    let mut said = match entry.kind {
        EntryKind::File => of_file(kind, path, entry),
        EntryKind::Symlink => {
            let words = format!("-> {}", entry.points_to.as_deref().unwrap_or_default());
            Said {
                says: FileText::Words(words.clone()),
                shown: words,
            }
        }
        EntryKind::Folder
        | EntryKind::Fifo
        | EntryKind::Socket
        | EntryKind::CharDevice
        | EntryKind::BlockDevice => Said {
            says: FileText::Words(String::new()),
            shown: format!("{:?}", entry.kind).to_lowercase(),
        },
    };
    if is_open(path, entry) {
        let permissions = permissions(entry, users);
        said.shown = format!("{permissions}: {}", said.shown);
        if let FileText::Words(words) = &mut said.says {
            *words = format!("{permissions}: {words}");
        }
    }
    said.shown = cut(&said.shown, SHOWN);
    said
}

/// True if others than root may change it, outside homes.
fn is_open(path: &str, entry: &Entry) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    const GROUP_WRITES: u32 = 0o020;
    let by_group = entry.gid != 0 && entry.mode & GROUP_WRITES != 0;
    let by_mode = entry.mode & OTHERS_WRITE != 0 || by_group;
    !is_link(entry) && (by_mode || (entry.uid != 0 && !path.starts_with("/home/")))
}

fn of_file(kind: KindName, path: &str, entry: &Entry) -> Said {
    let Some(text) = text(entry) else {
        let why = match &entry.content {
            Some(Content::Long) => ", long",
            Some(Content::Secret) => ", with a secret",
            Some(Content::LeftOut) => ", not told",
            Some(Content::Text(_) | Content::Hex(_)) | None => "",
        };
        return hashed(entry, format!("{} bytes{why}", entry.size));
    };
    let Some(words) = words(kind, path, text) else {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let first = lines.clone().find(|line| !line.starts_with('#'));
        let shown = format!(
            "{} lines: {}",
            lines.count(),
            first.unwrap_or_default().trim()
        );
        return hashed(entry, shown);
    };
    let summary = match is_of_units(kind) {
        true => units::summary(&words).join("; "),
        false => words.join("; "),
    };
    let all = words.join("\n");
    if all.chars().count() > WORDS {
        return hashed(entry, summary);
    }
    Said {
        says: FileText::Words(all),
        shown: summary,
    }
}

fn hashed(entry: &Entry, shown: String) -> Said {
    Said {
        says: entry.sha256.map_or(FileText::Unread, FileText::Sha256),
        shown,
    }
}

/// The words of a file that count; `None` for one whose hash says more: a script, a key.
fn words(kind: KindName, path: &str, text: &str) -> Option<Vec<String>> {
    Some(match kind {
        KindName::Cron if schedule::is_table(path) => schedule::table(text),
        KindName::UnitFile | KindName::Timer | KindName::Socket => units::words(text),
        KindName::SshKey if path.contains("/authorized_keys") => keys::authorized(text),
        KindName::CaAdd => keys::certificates(text)?,
        KindName::Polkit if path.ends_with(".rules") => lines(text, Comments::Slashes),
        KindName::Polkit | KindName::DbusService if text.trim_start().starts_with('<') => {
            lines(text, Comments::Xml)
        }
        KindName::PkgHook if path.starts_with("/etc/apt/") => lines(text, Comments::Slashes),
        KindName::Sudoers => lines(text, Comments::HashOfSudoers),
        KindName::Polkit
        | KindName::Pam
        | KindName::SshKey
        | KindName::PkgHook
        | KindName::PkgSource
        | KindName::Udev
        | KindName::Xdg
        | KindName::DbusService
        | KindName::LdPreload
        | KindName::LdConf
        | KindName::Kmod => lines(text, Comments::Hash),
        KindName::Sysctl => lines(text, Comments::HashOrSemicolon),
        // Programs of a shell, and keys.
        KindName::Cron
        | KindName::At
        | KindName::RcScript
        | KindName::Profile
        | KindName::PkgKey
        | KindName::ExecRoot
        | KindName::MaintscriptRun
        | KindName::FileWrite
        | KindName::FileDelete
        | KindName::FileSetuid
        | KindName::FileSetgid
        | KindName::FileCapability
        | KindName::UserAdd
        | KindName::GroupAdd
        | KindName::GroupMember
        | KindName::UnitEnabled
        | KindName::UnitStarted
        | KindName::NetListen
        | KindName::NetConnect
        | KindName::Mount
        | KindName::Namespace
        | KindName::Chroot
        | KindName::Ptrace
        | KindName::Bpf
        | KindName::MemfdExec
        | KindName::Accompanying
        | KindName::CaptureGap => return None,
    })
}

/// The places that a file of repositories names now and did not name before, each an operation, and
/// one for whatever else changed in it; `None` for a file that is gone or that nobody can read.
fn places(change: &PathChange) -> Option<Vec<Found>> {
    let of = |entry: &Option<Entry>| match entry {
        None => Some(sources::Named::default()),
        Some(entry) => Some(sources::named(&change.path, text(entry)?)),
    };
    let entry = change.after.as_ref()?;
    let (before, after) = (of(&change.before)?, of(&change.after)?);
    let mut found: Vec<Found> = Vec::new();
    for (kind, line) in &after.places {
        let was_there = before
            .places
            .iter()
            .any(|(was, said)| was == kind && said == line);
        if !was_there && !found.iter().any(|found| found.kind == *kind) {
            found.push(Found {
                after: Some(cut(line, SHOWN)),
                ..Found::of(kind.clone(), change)
            });
        }
    }
    let is_gone = |(kind, _): &(Kind, String)| !after.places.iter().any(|(is, _)| is == kind);
    if found.is_empty() || before.rest != after.rest || before.places.iter().any(is_gone) {
        let said = of_file(KindName::PkgSource, &change.path, entry);
        let was = change.before.as_ref();
        let was = was.map(|entry| of_file(KindName::PkgSource, &change.path, entry));
        found.push(Found {
            before: was.map(|was| cut(&was.shown, SHOWN)),
            after: Some(cut(&said.shown, SHOWN)),
            ..Found::of(sources::file(&change.path, said.says), change)
        });
    }
    Some(found)
}
