//! A world with a lab of its own: small repositories that are served as `packages.assay.test` and
//! `evil.assay.test`, and a target of each package manager that knows of no other repository.
//!
//! The repositories are `assay_lab`'s, written anew for every test, so that a test may spoil them
//! without anybody else noticing. Their base repositories are empty: the made-up packages need none.

use std::fs;
use std::path::PathBuf;

use assay_lab::forge::{Forged, Format, TestKey};
use assay_wire::digest::Digest;
use serde_json::json;

use crate::world::{Ran, World};

/// Files of a repository: path below its base URL, and bytes.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// A package manager, on the target that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// apt, on debian-12.
    Apt,
    /// dnf 4, on rocky-9.
    Dnf4,
    /// dnf 5, on fedora-44.
    Dnf5,
    /// pacman, on arch.
    Pacman,
}

impl Manager {
    /// The target whose image is used, as it is or with other repositories.
    fn target(self) -> &'static str {
        match self {
            Self::Apt => "debian-12",
            Self::Dnf4 => "rocky-9",
            Self::Dnf5 => "fedora-44",
            Self::Pacman => "arch",
        }
    }

    /// What its repositories are written in.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Apt => Format::Apt,
            Self::Dnf4 | Self::Dnf5 => Format::RpmMd,
            Self::Pacman => Format::Pacman(SECTION),
        }
    }

    /// Who signs the genuine repository; on Arch that is who signs the image's own, because no action
    /// adds a key.
    pub(crate) fn signer(self) -> TestKey {
        match self {
            Self::Apt => TestKey::Apt,
            Self::Dnf4 | Self::Dnf5 => TestKey::Rpm,
            Self::Pacman => TestKey::Arch,
        }
    }

    /// The exit code of a run that adds a repository, where it would be this one if that were consented to.
    /// Only apt's stand is a project that adds some, and it consents to nothing.
    pub(crate) fn ungranted(self, code: i32) -> Option<i32> {
        const UNGRANTED: i32 = 6;
        let is_graver = code == 0 || code == 1;
        Some(match self {
            Self::Apt if is_graver => UNGRANTED,
            Self::Apt | Self::Dnf4 | Self::Dnf5 | Self::Pacman => code,
        })
    }

    /// The step that adds a repository with a key, known by a hash; nothing where no action does so.
    pub(crate) fn adds(self, url: &str, key_url: &str, key_sha256: &Digest) -> String {
        let (action, rest) = match self {
            Self::Apt => ("apt_repo", "suites = [\"stable\"]\n"),
            Self::Dnf4 | Self::Dnf5 => ("dnf_repo", ""),
            Self::Pacman => return String::new(),
        };
        format!(
            "[[steps]]\naction = \"{action}\"\nurl = \"{url}\"\nkey_url = \"{key_url}\"\n\
             key_sha256 = \"{key_sha256}\"\n{rest}{}",
            self.when()
        )
    }

    /// The step that installs packages.
    pub(crate) fn installs(self, packages: &str) -> String {
        let action = match self {
            Self::Apt => "apt_install",
            Self::Dnf4 | Self::Dnf5 => "dnf_install",
            Self::Pacman => "pacman_install",
        };
        let when = self.when();
        format!("[[steps]]\naction = \"{action}\"\npackages = [{packages}]\n{when}")
    }

    fn when(self) -> &'static str {
        match self {
            Self::Apt => "when = { linux_family = [\"debian\"] }\n\n",
            Self::Dnf4 | Self::Dnf5 => "when = { linux_family = [\"rhel\"] }\n\n",
            Self::Pacman => "when = { linux_family = [\"arch\"] }\n\n",
        }
    }
}

/// The section of pacman's repositories that a test has to itself.
const SECTION: &str = "lab";

/// What leaves apt without repositories.
const APT_FILES: &[(&str, &str, &str, u32)] = &[
    ("/etc/apt", "sources.list", "", 0o644),
    // Else apt could not tell who answers for an https URL.
    ("/etc", "ssl/certs/ca-certificates.crt", "# none\n", 0o644),
];

/// A check that this command prints this text.
pub(crate) fn prints(command: &str, text: &str) -> String {
    format!(
        "[[check]]\nname = \"what is installed\"\nargv = ['{command}']\nexpect = {{ stdout_contains = \"{text}\" }}\n\n"
    )
}

/// A world, its lab and a target.
pub(crate) struct Stand {
    /// The world.
    pub(crate) world: World,
    /// The id of the target.
    pub(crate) target: String,
    /// An image made for this test.
    image: Option<String>,
}

impl Stand {
    /// `None` where container tests are off. `sections` are pacman's repositories with their servers.
    pub(crate) fn start(manager: Manager, sections: &[(&str, &str)]) -> Option<Self> {
        let stand = match manager {
            Manager::Apt => Self::like(manager.target(), APT_FILES)?,
            Manager::Pacman => {
                let sections: Vec<String> = sections
                    .iter()
                    .map(|(name, server)| format!("[{name}]\nServer = {server}\n"))
                    .collect();
                let text = format!(
                    "[options]\nArchitecture = x86_64\nSigLevel = Required DatabaseOptional\n\
                     DownloadUser = alpm\n{}",
                    sections.concat()
                );
                Self::like(manager.target(), &[("/etc", "pacman.conf", &text, 0o644)])?
            }
            Manager::Dnf4 | Manager::Dnf5 => Self {
                world: World::start()?,
                target: manager.target().to_owned(),
                image: None,
            },
        };
        stand.world.lab(&json!([]));
        for (place, signer) in [
            ("rocky/9/base", TestKey::RockyBase),
            ("fedora/44/base", TestKey::FedoraBase),
        ] {
            let empty = Forged {
                only: Some(&[]),
                ..Forged::genuine(Format::RpmMd, signer)
            };
            stand.serve(place, empty.files().expect("a repository"));
        }
        Some(stand)
    }

    /// A target that is another one but for these files (folder, name, text, mode).
    fn like(other: &str, files: &[(&str, &str, &str, u32)]) -> Option<Self> {
        let world = World::start()?;
        let engine = &world.engine;
        let target = crate::world::target_of_its_own(&other.replace(['-', '.'], ""));
        let labels = json!({ "assay.target": target, "assay.kind": "tarball" });
        let image = engine.commit(&engine.image_of(other), files, &labels);
        world.only_target_like(&target, other);
        Some(Self {
            world,
            target,
            image: Some(image),
        })
    }

    /// A stand on a release of Ubuntu, where personal archives are added. No lab is served.
    pub(crate) fn of_ubuntu() -> Option<Self> {
        Self::like("ubuntu-24.04", APT_FILES)
    }

    /// The folder that is served at a path of `packages.assay.test`, or as another host.
    pub(crate) fn folder(&self, place: &str) -> PathBuf {
        self.world.cache().join("lab/repositories").join(place)
    }

    /// Serves these files, and no others, at a path.
    pub(crate) fn serve(&self, place: &str, files: Files) {
        let folder = self.folder(place);
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("removed");
        }
        for (name, bytes) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, bytes).expect("a file");
        }
    }

    /// Serves a key, armored, and gives its hash.
    pub(crate) fn serve_key(&self, place: &str, key: TestKey) -> Digest {
        let bytes = key.public().expect("a key");
        let file = self.folder(place);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, &bytes).expect("a key");
        Digest::of(&bytes)
    }

    /// Runs recipes on the target.
    pub(crate) fn test(&self, recipes: &[&str]) -> Ran {
        self.test_with(recipes, &[])
    }

    /// The same, with more words.
    pub(crate) fn test_with(&self, recipes: &[&str], more: &[&str]) -> Ran {
        let words = [&["--on", self.target.as_str(), "--jobs", "2"], more].concat();
        self.world.test(recipes, &words)
    }

    /// `assay` with these arguments and the target.
    pub(crate) fn assay(&self, arguments: &[&str]) -> Ran {
        let mut command = self.world.assay(arguments);
        command.args(["--on", &self.target]);
        crate::world::Running::start(command).end()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some(image) = &self.image {
            // An image in use cannot be removed.
            self.world.remove_containers();
            self.world.engine.remove_image(image);
        }
    }
}
