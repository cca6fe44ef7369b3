//! What images and machines say of themselves: os-release, definitions, root file systems, saved
//! images, and the system's own files.

use assay_observe::state::{Accounts, MOST, shown};
use assay_plan::{Distro, Target};
use assay_recipe::when::Arch;
use assay_sandbox::images::os_release::{LIMIT, OsRelease};
use assay_sandbox::images::saved::{SavedError, read_saved};
use assay_sandbox::images::{Definition, rootfs};
use assay_testkit::log::file;
use assay_wire::digest::Digest;
use assay_wire::manifest::{Content, Entry, PathChange};

use super::{assert_showable, folder, text};

/// Longest line of an os-release that `plan` reads, and longest word it takes for a version.
const PLANNED: (usize, usize) = (4096, 64);

/// os-release, as strictly as an image is held to it and as leniently as a target is planned from
/// it: where the strict reader knows the distribution, the lenient one knows the same.
pub fn os_release(bytes: &[u8]) {
    let text = text(bytes);
    let planned = Distro::from_os_release(&text);
    assert_eq!(planned, Distro::from_os_release(&text), "read twice");
    // `--on FILE`: whatever the file holds, there is a target, and its name says no more than `ID`
    // and `VERSION_ID`.
    let machine = Target::of_machine(Arch::Amd64, &text).expect("a target");
    let id = planned
        .as_ref()
        .map_or("linux", |distro| distro.id.as_str());
    // An `ID` may end in a dash, a target's name may not.
    let id = id.trim_end_matches('-');
    assert!(machine.id.as_str().starts_with(id) || machine.id.as_str() == "linux");
    assert_eq!(machine.distro, planned);
    if let Some(distro) = &planned {
        assert!(
            !distro.id_like.contains(&distro.id),
            "no distribution is like itself"
        );
        let words = [
            &distro.version_id,
            &distro.version_codename,
            &distro.ubuntu_codename,
            &distro.debian_codename,
        ];
        for word in words.into_iter().flatten() {
            assert!(!word.is_empty() && word.len() <= PLANNED.1, "{word:?}");
            assert!(
                word.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            );
        }
        let name = distro.pretty_name.as_deref().unwrap_or_default();
        assert!(!name.chars().any(char::is_control), "{name:?}");
    }
    let image = match OsRelease::parse(bytes) {
        Ok(image) => image,
        Err(error) => return assert!(!error.to_string().chars().any(char::is_control)),
    };
    assert!(bytes.len() <= LIMIT && image.text() == text);
    assert_eq!(
        image.disagreements(&image),
        [],
        "an image agrees with itself"
    );
    if text.lines().any(|line| line.len() > PLANNED.0) {
        return;
    }
    if let Some(distro) = planned {
        assert_eq!(image.get("ID"), Some(distro.id.as_str()));
        if let Some(version) = &distro.version_id {
            assert_eq!(image.get("VERSION_ID"), Some(version.as_str()));
        }
    }
}

/// The definition of a base image.
pub fn image_definition(bytes: &[u8]) {
    let text = text(bytes);
    // A definition's id is its file's stem, so the file is named after what the text says.
    let id = text
        .split("id = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let file = format!("{}.toml", id.unwrap_or("debian-12"));
    let read = Definition::parse(&file, bytes);
    assert_eq!(Definition::parse(&file, bytes), read, "read twice");
    match read {
        Ok(definition) => {
            assert_eq!(format!("{}.toml", definition.id), file);
            assert_eq!(
                definition.sources.is_empty(),
                definition.source_date.is_none()
            );
            assert_eq!(definition.os_release.is_some(), definition.libc.is_some());
            assert!(definition.absent.is_sorted());
        }
        Err(error) => {
            let lines = text.lines().count().max(1);
            assert!(
                error
                    .line
                    .is_none_or(|line| (1..=lines + 1).contains(&line)),
                "{error:?}"
            );
            assert!(!error.message.chars().any(char::is_control), "{error:?}");
            if let Some(key) = &error.key {
                assert_showable(key);
            }
        }
    }
}

/// The archive of a root file system: whatever it says, little of it is kept.
pub fn rootfs(bytes: &[u8]) {
    let folder = folder();
    let path = folder.path().join("root.tar");
    std::fs::write(&path, bytes).expect("written");
    let Ok(read) = rootfs::read(&path) else {
        return;
    };
    assert_eq!(read.size, bytes.len() as u64, "every byte is hashed");
    let text = read.facts.os_release.as_deref().unwrap_or_default();
    assert!(text.len() <= LIMIT + 1);
    assert!(read.facts.repository_hosts.len() <= 64);
    for host in &read.facts.repository_hosts {
        assert!(!host.host.contains(['@', '/']), "{host}");
        assert_eq!(host.to_string().parse().ok().as_ref(), Some(host));
    }
}

/// The archive an engine saves an image as: only the image it holds is proved by it, and only by
/// the id that its own bytes have.
pub fn saved(bytes: &[u8]) {
    let Ok(saved) = read_saved(bytes) else {
        return;
    };
    let nothing = format!("sha256:{}", Digest::of(b"an image nobody has"));
    let other = saved.prove(&nothing, &[]);
    let error = other.expect_err("no bytes prove an id they do not have");
    assert_showable(&error.to_string());
    // Every word of 64 hex digits in it may be an id; whichever is, its layers are not those of
    // another, and the same is said again.
    let text = text(bytes);
    let hex = |word: &&str| word.len() == 64 && word.parse::<Digest>().is_ok();
    let words = text.split(|c: char| !c.is_ascii_hexdigit()).filter(hex);
    for id in words.take(20).map(|word| format!("sha256:{word}")) {
        let proved = saved.prove(&id, &[]);
        assert_eq!(saved.prove(&id, &[]), proved, "asked twice");
        if proved.is_ok() {
            let layers = [nothing.clone()];
            let differs = matches!(saved.prove(&id, &layers), Err(SavedError::Differs(_)));
            assert!(differs, "layers the image does not have");
        }
    }
}

/// A system's own file: its path on the first line, then what it said and, after a zero byte, what it says.
/// Nothing is told of one that stays as it was, little of any, and the same of the same.
pub fn state(bytes: &[u8]) {
    let text = text(bytes);
    let (path, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let (before, after) = rest.split_once('\0').unwrap_or(("", rest));
    let entry = |text: &str| Entry {
        content: Some(Content::Text(text.to_owned())),
        ..file(0o644, text.as_bytes())
    };
    let told = |before: Option<&str>, after: Option<&str>| {
        let change = PathChange {
            path: path.to_owned(),
            before: before.map(entry),
            after: after.map(entry),
        };
        shown(&[change], &[].into(), &mut Accounts::default())
    };
    assert_eq!(told(Some(after), Some(after)).operations, []);
    let sides = [
        (None, Some(after)),
        (Some(before), Some(after)),
        (Some(before), None),
    ];
    for (before, after) in sides {
        let shown = told(before, after);
        assert_eq!(told(before, after), shown, "told twice");
        assert!(
            shown.operations.len()
                <= MOST + 1 + before.map_or(0, str::len) + after.map_or(0, str::len)
        );
        for found in &shown.operations {
            let words = [&found.before, &found.after];
            let longest = words.into_iter().flatten().map(|text| text.chars().count());
            assert!(longest.max().unwrap_or(0) <= 400, "{found:?}");
        }
        // What no place makes special is listed by its path.
        let total = shown.operations.len() + shown.written.len() + shown.deleted.len();
        let is_new = before.is_none() || after.is_none();
        assert!(
            total > 0 || !is_new || after.or(before).is_some_and(str::is_empty) || is_quiet(path)
        );
    }
}

/// Files of which some say nothing at all: those of accounts, and systemd's settings.
fn is_quiet(path: &str) -> bool {
    path.starts_with("/etc/")
}
