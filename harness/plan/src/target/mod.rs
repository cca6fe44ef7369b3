//! A target: the facts of a machine that decide which steps apply. Facts come from os-release and
//! from the image definition; nothing is detected here and nothing is guessed.
//!
//! Go on to [`crate::applies`] for how `when` is compared with them.

mod releases;

pub mod os_release;

use assay_packages::DistroVersion;
use assay_recipe::name::DistroId;
use assay_recipe::package::Manager;
use assay_recipe::when::{Arch, Family, Libc, Os, family_of};
use assay_wire::name::TargetId;

/// A machine a recipe may be planned for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its identity.
    pub id: TargetId,
    /// The operating system.
    pub os: Os,
    /// The architecture.
    pub arch: Arch,
    /// The C library, where the image definition states one.
    pub libc: Option<Libc>,
    /// The distribution; `None` where os-release is missing, nonsense or without an `ID`: then the
    /// target is `linux` with no distribution.
    pub distro: Option<Distro>,
}

/// What os-release(5) states of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distro {
    /// `ID`.
    pub id: DistroId,
    /// `ID_LIKE`, in order, without repetitions.
    pub id_like: Vec<DistroId>,
    /// `VERSION_ID`; rolling distributions have none.
    pub version_id: Option<String>,
    /// `VERSION_CODENAME`.
    pub version_codename: Option<String>,
    /// `UBUNTU_CODENAME`: the Ubuntu release it derives from.
    pub ubuntu_codename: Option<String>,
    /// `DEBIAN_CODENAME`: the Debian release it derives from.
    pub debian_codename: Option<String>,
    /// `PRETTY_NAME`, for people.
    pub pretty_name: Option<String>,
}

/// The distribution that counts for one recipe on one target: the nearest one it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveDistro {
    /// Its id: the target's own, or one it derives from.
    pub id: DistroId,
    /// The version of its release, where that is known.
    pub version: Option<String>,
    /// The code name of its release, where that is known.
    pub codename: Option<String>,
}

impl Target {
    /// A Linux target from the text of `/etc/os-release` (else `/usr/lib/os-release`). Whatever the
    /// text is, there is a target: without a valid `ID` it is one with no distribution.
    #[must_use]
    pub fn from_os_release(id: TargetId, arch: Arch, libc: Option<Libc>, text: &str) -> Self {
        Self {
            id,
            os: Os::Linux,
            arch,
            libc,
            distro: Distro::from_os_release(text),
        }
    }

    /// The target that a machine's os-release describes, named by what it states: `ID` and
    /// `VERSION_ID`, `linux` without a valid `ID`. Its C library is not known.
    #[must_use]
    pub fn of_machine(arch: Arch, text: &str) -> Option<Self> {
        let distro = Distro::from_os_release(text);
        let names = distro.as_ref().map(|distro| {
            let version = distro.version_id.as_deref().unwrap_or_default();
            let whole = format!("{}-{}", distro.id, version.to_ascii_lowercase());
            [
                whole.trim_end_matches('-').to_owned(),
                distro.id.to_string(),
            ]
        });
        // What is too long for a name falls back to a shorter one.
        let mut names = names.into_iter().flatten().chain(["linux".to_owned()]);
        let id: TargetId = names.find_map(|name| name.parse().ok())?;
        Some(Self {
            id,
            os: Os::Linux,
            arch,
            libc: None,
            distro,
        })
    }

    /// A macOS target, which has no os-release.
    #[must_use]
    pub fn darwin(id: TargetId, arch: Arch) -> Self {
        Self {
            id,
            os: Os::Darwin,
            arch,
            libc: None,
            distro: None,
        }
    }

    /// The family of distributions it belongs to: that of the first id of its chain whose family is
    /// certain.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        self.chain().find_map(family_of)
    }

    /// The package manager of its family, or of darwin; `None` where the family is not known.
    #[must_use]
    pub fn manager(&self) -> Option<Manager> {
        if self.os == Os::Darwin {
            return Some(Manager::Brew);
        }
        Some(match self.family()? {
            Family::Debian => Manager::Apt,
            Family::Rhel => Manager::Dnf,
            Family::Arch => Manager::Pacman,
            Family::Alpine => Manager::Apk,
            Family::Suse => Manager::Zypper,
        })
    }

    /// `ID`, then `ID_LIKE` in order; empty without a distribution.
    pub fn chain(&self) -> impl Iterator<Item = &DistroId> {
        self.distro
            .iter()
            .flat_map(|distro| std::iter::once(&distro.id).chain(&distro.id_like))
    }

    /// The effective distribution for a recipe whose steps name these: the first of the chain that
    /// is named, else the target's own; `None` without a distribution.
    #[must_use]
    pub fn effective_distro(&self, named: &[&DistroId]) -> Option<EffectiveDistro> {
        let distro = self.distro.as_ref()?;
        let id = self
            .chain()
            .find(|id| named.contains(id))
            .unwrap_or(&distro.id);
        Some(distro.release_of(id))
    }
}

impl Distro {
    /// What a text of os-release(5) states; `None` without a valid `ID`.
    #[must_use]
    pub fn from_os_release(text: &str) -> Option<Self> {
        let mut values = os_release::parse(text);
        let id: DistroId = values.get("ID")?.parse().ok()?;
        let mut id_like: Vec<DistroId> = Vec::new();
        for like in values
            .get("ID_LIKE")
            .map(String::as_str)
            .unwrap_or_default()
            .split(' ')
        {
            // A chain is short; what goes on for pages is no list of distributions.
            if let Ok(like) = like.parse::<DistroId>()
                && like != id
                && !id_like.contains(&like)
                && id_like.len() < MAX_CHAIN
            {
                id_like.push(like);
            }
        }
        let mut word = |key: &str| values.remove(key).filter(|value| is_word(value));
        Some(Self {
            id,
            id_like,
            version_id: word("VERSION_ID"),
            version_codename: word("VERSION_CODENAME"),
            ubuntu_codename: word("UBUNTU_CODENAME"),
            debian_codename: word("DEBIAN_CODENAME"),
            pretty_name: values.remove("PRETTY_NAME").filter(|name| !name.is_empty()),
        })
    }

    /// The release of a distribution of the chain: the own one as stated, a parent's as far as
    /// os-release states it.
    fn release_of(&self, id: &DistroId) -> EffectiveDistro {
        let stated_codename = match id.as_str() {
            "ubuntu" => self.ubuntu_codename.clone(),
            "debian" => self.debian_codename.clone(),
            _ => None,
        };
        let version_by_name = |codename: &Option<String>| {
            releases::version_of(id.as_str(), codename.as_deref()?).map(str::to_owned)
        };
        let (version, codename) = if *id == self.id {
            let codename = self.version_codename.clone().or(stated_codename);
            let by_version =
                |version: &String| releases::codename_of(id.as_str(), version).map(str::to_owned);
            let codename = codename.or_else(|| self.version_id.as_ref().and_then(by_version));
            (
                self.version_id
                    .clone()
                    .or_else(|| version_by_name(&codename)),
                codename,
            )
        } else {
            (version_by_name(&stated_codename), stated_codename)
        };
        EffectiveDistro {
            id: id.clone(),
            version,
            codename,
        }
    }
}

impl EffectiveDistro {
    /// The version as a dotted number; `None` where it is unknown or something else, such as a word.
    #[must_use]
    pub fn dotted_version(&self) -> Option<DistroVersion> {
        self.version.as_deref()?.parse().ok()
    }
}

/// Most ids of `ID_LIKE` that are kept.
const MAX_CHAIN: usize = 16;

/// True for what may stand in a URL or a suite: os-release(5) asks for exactly these characters in
/// `VERSION_ID` and `VERSION_CODENAME`.
fn is_word(text: &str) -> bool {
    let starts = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    starts && text.len() <= 64 && text.bytes().all(belongs)
}

#[cfg(test)]
mod chains;

#[cfg(test)]
mod tests;
