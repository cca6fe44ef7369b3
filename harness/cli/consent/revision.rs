//! The project as of a revision of git: its files are read out of git's own store into a folder that
//! goes away again. Nothing is checked out, and no hook, filter or link of the repository is followed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use assay_recipe::{MAX_LEDGER_BYTES, MAX_LOCK_BYTES, MAX_RECIPE_BYTES};
use assay_wire::name::RecipeName;
use tempfile::TempDir;

use crate::error::CliError;
use crate::project::{CONSENTS, LOCK, Project};
use crate::terminal::{Terminal, plain};

/// Most files of a project that are read.
const MOST_FILES: usize = 20_000;

/// A project's files as of a revision.
pub(super) struct Checkout {
    folder: TempDir,
    /// The commit's id.
    pub(super) commit: String,
}

impl Checkout {
    /// The project in it.
    pub(super) fn project(&self, terminal: &Terminal) -> Result<Project, CliError> {
        Project::at(terminal, Some(self.folder.path().to_owned()))
    }
}

/// Reads the project's own files, which are all TOML, as they are in a revision.
pub(super) fn checkout(project: &Project, revision: &str) -> Result<Checkout, CliError> {
    let root = project.path("");
    let name = format!("{revision}^{{commit}}");
    let words = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &name,
    ];
    let commit = git(&root, &words, None)?.map_err(|said| {
        let error = format!("git knows no revision `{}` here", plain(revision));
        // Asked quietly, git says nothing of an unknown revision, and much of a folder it does not read.
        let hint = said.unwrap_or_else(|| {
            "a branch, a tag or a commit; a shallow clone has few (`git fetch --unshallow`)"
                .to_owned()
        });
        CliError::usage(error).hint(hint)
    })?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let fault = |what: &str| CliError::infrastructure(format!("git: {what} of {commit}"));
    let refused = |said: Option<String>| fault("nothing").hints(said);
    let listed = git(&root, &["ls-tree", "-r", "-z", "-l", &commit], None)?;
    let listed = listed.map_err(refused)?;
    let files: Vec<(String, PathBuf)> = listed.split(|b| *b == 0).filter_map(own_file).collect();
    if files.len() > MOST_FILES {
        return Err(fault("more files than are read"));
    }
    let prefix: String = commit.chars().take(12).collect();
    let folder = tempfile::Builder::new()
        .prefix(&format!("assay-{prefix}-"))
        .tempdir()
        .map_err(CliError::infrastructure)?;
    let ids: String = files.iter().map(|(id, _)| format!("{id}\n")).collect();
    let mut asked = tempfile::tempfile().map_err(CliError::infrastructure)?;
    let rewound = asked
        .write_all(ids.as_bytes())
        .and_then(|()| asked.rewind());
    rewound.map_err(CliError::infrastructure)?;
    let blobs = git(&root, &["cat-file", "--batch"], Some(asked))?;
    let blobs = blobs.map_err(refused)?;
    let mut rest = blobs.as_slice();
    for (_, path) in &files {
        let bytes = next_blob(&mut rest).ok_or_else(|| fault("a file that is cut short"))?;
        let file = folder.path().join(path);
        let parent = file.parent().unwrap_or(folder.path());
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&file, bytes))
            .map_err(CliError::infrastructure)?;
    }
    Ok(Checkout { folder, commit })
}

/// The files of recipes in a project of a revision: recipes are named there, not their files.
pub(super) fn files(project: &Project, named: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let file = |path: &PathBuf| {
        let name = path
            .to_str()
            .and_then(|text| text.parse::<RecipeName>().ok());
        let name = name.ok_or_else(|| {
            let shown = plain(&path.display().to_string());
            CliError::usage(format!("`{shown}` is not the name of a recipe"))
                .hint("recipes of a revision are named, such as `docker`")
        })?;
        let file = project.recipes().join(format!("{name}.toml"));
        file.exists()
            .then_some(file)
            .ok_or_else(|| CliError::usage(format!("there is no recipe `{name}` in that revision")))
    };
    named.iter().map(file).collect()
}

/// The address of the user, as git knows it.
pub(super) fn user(project: &Project) -> Option<String> {
    let root = project.path("");
    let address = git(&root, &["config", "user.email"], None).ok()?.ok()?;
    let address = String::from_utf8(address).ok()?.trim().to_owned();
    (!address.is_empty()).then_some(address)
}

/// The id and path of a listed file, if it is one of a project: `mode SP type SP id SP size TAB path`
/// (git-ls-tree(1)). Links and what is too long are none.
fn own_file(line: &[u8]) -> Option<(String, PathBuf)> {
    let line = std::str::from_utf8(line).ok()?;
    let (head, path) = line.split_once('\t')?;
    let mut words = head.split_ascii_whitespace();
    let (mode, kind, id) = (words.next()?, words.next()?, words.next()?);
    let size: usize = words.next()?.parse().ok()?;
    let path = Path::new(path);
    let most = match path.to_str() {
        Some(LOCK) => MAX_LOCK_BYTES,
        Some(CONSENTS) => MAX_LEDGER_BYTES,
        _ if path.extension() == Some(OsStr::new("toml")) => MAX_RECIPE_BYTES,
        _ => return None,
    };
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let regular = kind == "blob" && mode.starts_with("100");
    (inside && regular && size <= most).then(|| (id.to_owned(), path.to_owned()))
}

/// The next blob of a batch: `id SP type SP size LF bytes LF` (git-cat-file(1)).
fn next_blob<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.iter().position(|b| *b == b'\n')?;
    let head = std::str::from_utf8(&rest[..end]).ok()?;
    let size: usize = head.rsplit(' ').next()?.parse().ok()?;
    let bytes = rest.get(end + 1..(end + 1).checked_add(size)?)?;
    *rest = rest.get(end + 1 + size + 1..)?;
    Some(bytes)
}

/// What git prints; if it says no, the first line of why.
type Answer = Result<Vec<u8>, Option<String>>;

/// Asks git.
fn git(root: &Path, words: &[&str], input: Option<File>) -> Result<Answer, CliError> {
    let mut command = Command::new("git");
    if root.as_os_str().is_empty() {
        command.current_dir(".");
    } else {
        command.current_dir(root);
    }
    let input = input.map_or_else(std::process::Stdio::null, Into::into);
    let output = command.args(words).stdin(input).output().map_err(|error| {
        CliError::infrastructure(format!("start `git`: {error}")).hint("revisions are git's")
    })?;
    if output.status.success() {
        return Ok(Ok(output.stdout));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(Err(said.lines().next().map(plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_project_are_read() {
        let id = "1".repeat(40);
        let path = |line: &str| {
            let line = line.replace("ID", &id);
            own_file(line.as_bytes()).map(|(_, path)| path.display().to_string())
        };
        let recipe = Some("recipes/jq.toml".to_owned());
        assert_eq!(path("100644 blob ID     120\trecipes/jq.toml"), recipe);
        assert_eq!(path("100755 blob ID 0\tassay.lock"), Some(LOCK.to_owned()));
        for bad in [
            "120000 blob ID 9\trecipes/jq.toml",
            "160000 commit ID -\trecipes/jq.toml",
            "100644 blob ID 120\trecipes/jq.sh",
            "100644 blob ID 120\t../jq.toml",
            "100644 blob ID 120\t/etc/jq.toml",
            "100644 blob ID 999999999\trecipes/jq.toml",
            "",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn blobs_are_cut_where_their_heads_say() {
        let mut rest = &b"1 blob 3\na\nb\n2 blob 0\n\n3 blob 9\nx"[..];
        assert_eq!(next_blob(&mut rest), Some(&b"a\nb"[..]));
        assert_eq!(next_blob(&mut rest), Some(&b""[..]));
        assert_eq!(next_blob(&mut rest), None);
        assert_eq!(next_blob(&mut &b"1 missing\n"[..]), None);
    }
}
