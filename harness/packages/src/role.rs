//! What a file of a repository is, by the path of its URL: package, index or signature.
//!
//! A name is only a reason to look: what a file really is shows when it is read.

use crate::contents::PackageFormat;

/// What a file of a repository is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A package.
    Package(PackageFormat),
    /// A signature that lies beside what it is of: `Release.gpg`, `repomd.xml.asc`, `core.db.sig`.
    Signature,
    /// apt's list of indexes with its signature in it.
    InRelease,
    /// The same without.
    Release,
    /// apt's list of packages. Under the name of its hash another index may stand here, too.
    Packages,
    /// rpm-md's list of indexes, `repomd.xml`.
    Repomd,
    /// rpm-md's list of packages.
    Primary,
    /// A database of pacman's.
    Database,
}

impl Role {
    /// What the path of a URL, without its query, says.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let mut segments = path.rsplit('/');
        let name = segments.next()?;
        if let Some(format) = PackageFormat::of_name(name) {
            return Some(Self::Package(format));
        }
        // `main/binary-amd64/by-hash/SHA256/…`: apt asks for indexes by their hash.
        if segments.nth(1) == Some("by-hash") {
            // Translations, which are as large and list nothing.
            return (segments.next() != Some("i18n")).then_some(Self::Packages);
        }
        let is_list = |list: &str| {
            let rest = name.strip_prefix(list);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        Some(match name {
            "InRelease" => Self::InRelease,
            "Release" => Self::Release,
            "repomd.xml" => Self::Repomd,
            "Release.gpg" | "repomd.xml.asc" => Self::Signature,
            _ if name.ends_with(".sig") => Self::Signature,
            _ if is_list("Packages") => Self::Packages,
            _ if name.ends_with(".db") || name.contains(".db.tar") => Self::Database,
            // createrepo_c puts the hash before it, zypper's predecessor did not.
            _ if name == "primary.xml"
                || name.contains("primary.xml.") && !name.ends_with(".zck")
                || name.ends_with("-primary.xml") =>
            {
                Self::Primary
            }
            _ => return None,
        })
    }

    /// True for a path that says anything: what is kept of what a sandbox is given.
    #[must_use]
    pub fn is_any(path: &str) -> bool {
        Self::of_path(path).is_some()
    }

    /// What comes after the name of a file to make that of its signature.
    #[must_use]
    pub fn signature_suffix(self) -> Option<&'static str> {
        match self {
            Self::Release => Some(".gpg"),
            Self::Repomd => Some(".asc"),
            Self::Database | Self::Package(PackageFormat::Pacman) => Some(".sig"),
            Self::Package(PackageFormat::Deb | PackageFormat::Rpm)
            | Self::Signature
            | Self::InRelease
            | Self::Packages
            | Self::Primary => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Role::*;
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        let rows = [
            (
                "/debian/pool/main/n/nginx/nginx_1_amd64.deb",
                Some(Package(PackageFormat::Deb)),
            ),
            ("/f/n.rpm", Some(Package(PackageFormat::Rpm))),
            (
                "/x-1-x86_64.pkg.tar.zst",
                Some(Package(PackageFormat::Pacman)),
            ),
            ("/x-1-x86_64.pkg.tar.zst.sig", Some(Signature)),
            ("/dists/bookworm/InRelease", Some(InRelease)),
            ("/dists/bookworm/Release", Some(Release)),
            ("/dists/bookworm/Release.gpg", Some(Signature)),
            ("/main/binary-amd64/Packages", Some(Packages)),
            ("/main/binary-amd64/Packages.xz", Some(Packages)),
            ("/main/binary-amd64/by-hash/SHA256/00ff", Some(Packages)),
            ("/main/i18n/by-hash/SHA256/00ff", None),
            ("/main/i18n/Translation-en.xz", None),
            ("/main/Packagesque", None),
            ("/repodata/repomd.xml", Some(Repomd)),
            ("/repodata/repomd.xml.asc", Some(Signature)),
            ("/repodata/00ff-primary.xml.zst", Some(Primary)),
            ("/repodata/00ff-primary.xml.zck", None),
            ("/repodata/primary.xml", Some(Primary)),
            ("/repodata/00ff-filelists.xml.gz", None),
            ("/core/os/x86_64/core.db", Some(Database)),
            ("/core/os/x86_64/core.db.tar.gz", Some(Database)),
            ("/core/os/x86_64/core.db.sig", Some(Signature)),
            ("/core/os/x86_64/core.files", None),
            ("/key.asc", None),
            ("/", None),
            ("", None),
        ];
        for (path, role) in rows {
            assert_eq!(Role::of_path(path), role, "{path}");
            assert_eq!(Role::is_any(path), role.is_some());
        }
    }

    #[test]
    fn a_signature_is_one_by_its_name() {
        for (path, role) in [
            ("/x/Release", Release),
            ("/x/repomd.xml", Repomd),
            ("/x/core.db", Database),
            ("/x/a.pkg.tar.xz", Package(PackageFormat::Pacman)),
        ] {
            let suffix = role.signature_suffix().expect("signed beside");
            assert_eq!(Role::of_path(path), Some(role));
            assert_eq!(Role::of_path(&format!("{path}{suffix}")), Some(Signature));
        }
    }
}
