//! The layer that maintainer scripts run in: the few tools of dpkg and debconf they call.
//!
//! It is part of the image's release package, one folder beside the one path that scripts
//! source by name. What the tools do is written in `base-images/lab/layer`, what is a no-op in
//! `rules.toml`. `crate::scripts` writes the scripts that call `RUN`.

use crate::deb::Deb;
use crate::deb::payload::{Entry, Node};
use crate::sign::BUILD_TIME;

/// The program that runs a maintainer script; no leading slash.
pub(crate) const RUN: &str = "usr/lib/assay-lab/run";
/// Where dpkg keeps the state of its alternatives, and where an image keeps it.
pub(crate) const ALTERNATIVES: [&str; 2] = ["var/lib/dpkg/alternatives", "var/lib/alternatives"];

const FOLDER: &str = "usr/lib/assay-lab";
const CONFMODULE: &str = "usr/share/debconf/confmodule";
/// The program of dpkg that is taken as it is.
const TAKEN: &str = "usr/bin/update-alternatives";

macro_rules! tool {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../base-images/lab/layer/", $name)),
        )
    };
}

const TOOLS: [(&str, &str); 9] = [
    tool!("adduser"),
    tool!("deluser"),
    tool!("dpkg"),
    tool!("dpkg-divert"),
    tool!("dpkg-query"),
    tool!("dpkg-realpath"),
    tool!("dpkg-statoverride"),
    tool!("ucf"),
    tool!("update-alternatives"),
];
/// Tools that look at the name they are called by.
const SECOND_NAMES: [(&str, &str); 2] = [("addgroup", "adduser"), ("delgroup", "deluser")];

/// The files of the layer. `dpkg` is the package that update-alternatives is taken from, where
/// there is one; these names are no-ops.
pub(crate) fn entries(dpkg: Option<&Deb>, no_ops: &[String]) -> Vec<Entry> {
    let time = u64::from(BUILD_TIME);
    let program = |path: &str, text: &str| {
        Entry::of_root(path, Node::File(text.as_bytes().to_vec()), 0o755, time)
    };
    let link = |name: &str, target: &str| {
        let path = format!("{FOLDER}/bin/{name}");
        Entry::of_root(&path, Node::Symlink(target.to_owned()), 0o777, time)
    };
    let mut entries = vec![
        program(RUN, tool!("run").1),
        Entry::of_root(
            CONFMODULE,
            Node::File(tool!("confmodule").1.as_bytes().to_vec()),
            0o644,
            time,
        ),
    ];
    entries.extend(
        TOOLS
            .iter()
            .map(|(name, text)| program(&format!("{FOLDER}/bin/{name}"), text)),
    );
    entries.extend(SECOND_NAMES.iter().map(|(name, first)| link(name, first)));
    entries.extend(no_ops.iter().map(|name| link(name, "/usr/bin/true")));
    let taken = dpkg.and_then(|deb| deb.entries.iter().find(|entry| entry.path == TAKEN));
    if let Some(entry) = taken {
        entries.push(Entry {
            path: format!("{FOLDER}/update-alternatives"),
            ..entry.clone()
        });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_of_the_folder_is_in_the_layer() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../base-images/lab/layer");
        let entries = entries(None, &["update-rc.d".to_owned()]);
        for file in crate::files::tree(&folder).expect("the folder is there") {
            let ending = format!("/{file}");
            assert!(
                entries.iter().any(|entry| entry.path.ends_with(&ending)),
                "{file}"
            );
        }
        let no_op = entries.last().expect("the one that was asked for");
        assert_eq!(no_op.node, Node::Symlink("/usr/bin/true".to_owned()));
    }

    fn tool(name: &str, words: &[&str]) -> (Option<i32>, String) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../base-images/lab/layer")
            .join(name);
        let output = std::process::Command::new("bash")
            .arg(path)
            .args(words)
            .output()
            .expect("bash is essential");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    #[test]
    fn versions_are_compared_as_dpkg_does() {
        let versions = [
            "1.0~rc1-1",
            "1.0-1~bpo1",
            "1.0-1",
            "1.0-1+b1",
            "1.0a-1",
            "1.0+x-1",
            "1.09-1",
            "1.10-1",
            "1:0.1",
            "2:0",
        ];
        let pairs = versions.iter().zip(&versions[1..]);
        for (earlier, later) in pairs {
            assert!(
                assay_packages::dpkg::compare(earlier, later).is_lt(),
                "{earlier} {later}"
            );
            for (a, word, b) in [(earlier, "lt", later), (later, "gt", earlier)] {
                let words = ["--compare-versions", a, word, b];
                assert_eq!(tool("dpkg", &words).0, Some(0), "{a} {word} {b}");
            }
            let same = ["--compare-versions", earlier, "eq", earlier];
            assert_eq!(tool("dpkg", &same).0, Some(0), "{earlier}");
        }
        for (words, code) in [
            (["", "lt", "1"], 0),
            (["", "lt-nl", "1"], 1),
            (["1", "gt", ""], 0),
            (["", "le", ""], 0),
            (["1", "like", "1"], 2),
        ] {
            let [a, word, b] = words;
            assert_eq!(
                tool("dpkg", &["--compare-versions", a, word, b]).0,
                Some(code),
                "{words:?}"
            );
        }
    }

    #[test]
    fn what_is_asked_of_dpkg_is_answered() {
        assert_eq!(
            tool("dpkg", &["--print-architecture"]),
            (Some(0), "amd64\n".to_owned())
        );
        assert_eq!(tool("dpkg", &["-L", "a"]).0, Some(1));
        assert_eq!(
            tool("dpkg-divert", &["--truename", "/a"]),
            (Some(0), "/a\n".to_owned())
        );
        assert_eq!(
            tool("dpkg-divert", &["--add", "--rename", "/a"]),
            (Some(0), String::new())
        );
        assert_eq!(tool("dpkg-statoverride", &["--list", "/a"]).0, Some(1));
        assert_eq!(
            tool("dpkg-realpath", &["/usr/../a"]),
            (Some(0), "/a\n".to_owned())
        );
    }

    #[test]
    fn ucf_keeps_a_file_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        crate::files::write(&new, b"new").expect("writes");
        let words = [&*new.to_string_lossy(), &*old.to_string_lossy()];
        assert_eq!(
            tool("ucf", &["--debconf-ok", words[0], words[1]]).0,
            Some(0)
        );
        assert_eq!(crate::files::read(&old).expect("put in place"), b"new");
        crate::files::write(&new, b"newer").expect("writes");
        assert_eq!(tool("ucf", &words).0, Some(0));
        assert_eq!(crate::files::read(&old).expect("kept"), b"new");
    }
}
