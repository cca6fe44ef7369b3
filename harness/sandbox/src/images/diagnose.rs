//! What this machine can make and run of the base images, and the command that mends what it
//! cannot: the part of `assay doctor` that is about engine, images, tools and disk.
//!
//! It looks and changes nothing.

use std::path::Path;

use assay_wire::name::Variant;

use super::date::Date;
use super::inventory::{State, list};
use super::lab::{LabManifest, manifest_path};
use super::set::Definitions;
use super::source::{Source, SourceKind};
use crate::docker::engine::{About, Engine, EngineError, Product};

/// The oldest engine API that has every call used here (Docker 20.10).
const OLDEST_API: (u32, u32) = (1, 41);

/// Below this many free bytes a run is likely to fail.
const DISK_LOW: u64 = 5_000_000_000;

/// Below this many free bytes a run cannot work.
const DISK_EXHAUSTED: u64 = 500_000_000;

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, with a limit worth knowing.
    Warn,
    /// Does not work.
    Fail,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How good it is.
    pub level: Level,
    /// What was found, on one line.
    pub what: String,
    /// The command or the act that mends it, where something is to be mended.
    pub mend: Option<String>,
}

impl Finding {
    fn ok(what: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            what: what.into(),
            mend: None,
        }
    }

    fn warn(what: impl Into<String>, mend: Option<String>) -> Self {
        Self {
            level: Level::Warn,
            what: what.into(),
            mend,
        }
    }

    fn fail(what: impl Into<String>, mend: Option<String>) -> Self {
        Self {
            level: Level::Fail,
            what: what.into(),
            mend,
        }
    }
}

/// Looks at the engine, the images of every definition, the tools that make them and the disks.
/// `engine` is the result of connecting to it; `cache` the user's cache folder.
pub async fn diagnose(
    engine: &Result<Engine, EngineError>,
    definitions: &Definitions,
    cache: &Path,
    today: Date,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match engine {
        Err(error) => findings.push(Finding::fail(error.to_string(), error.hint())),
        Ok(engine) => {
            match engine.about().await {
                Err(error) => findings.push(Finding::fail(error.to_string(), error.hint())),
                Ok(about) => {
                    findings.push(engine_finding(engine.host(), &about));
                    findings.extend(bounds_finding(&about));
                    findings.extend(cgroups_finding(&about));
                    findings.extend(about.data_root.as_deref().and_then(|root| {
                        disk_finding("the engine's data folder", Path::new(root))
                    }));
                    findings.extend(image_findings(engine, definitions, cache, today).await);
                }
            }
        }
    }
    findings.extend(disk_finding("the cache", cache));
    findings.push(lab_finding(definitions, cache));
    findings.push(bootstrap_finding(definitions));
    findings
}

fn engine_finding(host: &str, about: &About) -> Finding {
    let product = match about.product {
        Product::Docker => "Docker",
        Product::Podman => "Podman",
    };
    let mut what = format!("{product} {} answers at `{host}`", about.version);
    for (name, value) in [
        ("storage", &about.storage_driver),
        ("cgroups v", &about.cgroup_version),
    ] {
        if let Some(value) = value {
            let space = if name.ends_with('v') { "" } else { " " };
            what.push_str(&format!(", {name}{space}{value}"));
        }
    }
    if about.rootless {
        what.push_str(", rootless");
    }
    match api_version(&about.api_version) {
        Some(version) if version >= OLDEST_API => Finding::ok(what),
        Some(_) => Finding::fail(
            format!(
                "{what}, but its API {} is older than 1.41",
                about.api_version
            ),
            Some("install Docker 20.10, or Podman 4, or newer".to_owned()),
        ),
        None => Finding::warn(format!("{what}, but names no API version"), None),
    }
}

/// What a hostile or broken recipe could take of the machine.
fn bounds_finding(about: &About) -> Option<Finding> {
    let unbounded = about.unbounded.join(", ");
    (!unbounded.is_empty()).then(|| {
        Finding::warn(
            format!("the engine cannot bound {unbounded}: a sandbox may take all the machine has"),
            Some("run the engine as root, or on a machine with cgroups v2".to_owned()),
        )
    })
}

/// What cannot boot there (systemd's NEWS, version 258: "Support for cgroup v1 … has been removed").
fn cgroups_finding(about: &About) -> Option<Finding> {
    (about.cgroup_version.as_deref() == Some("1")).then(|| {
        Finding::warn(
            "on cgroups v1 systemd 258 and newer do not boot: services of the newest distributions are not run",
            Some("run the engine on a machine with cgroups v2".to_owned()),
        )
    })
}

fn api_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

async fn image_findings(
    engine: &Engine,
    definitions: &Definitions,
    cache: &Path,
    today: Date,
) -> Vec<Finding> {
    let rows = match list(engine, definitions, cache, today).await {
        Ok(rows) => rows,
        Err(error) => return vec![Finding::fail(error.to_string(), error.hint())],
    };
    let mut findings = Vec::new();
    for placed in definitions.iter() {
        let target = &placed.definition.id;
        let build = Some(format!("assay images build {target}"));
        let mut of_target = rows.iter().filter(|row| row.target == *target);
        let Some(first) = of_target.next() else {
            continue;
        };
        findings.push(match &first.image {
            None => Finding::warn(format!("`{target}` has no image yet"), build),
            Some(image) => {
                let what = format!(
                    "`{target}` ({}): {} MB, {}",
                    image.kind,
                    image.size / 1_000_000,
                    image
                        .id
                        .trim_start_matches("sha256:")
                        .get(..12)
                        .unwrap_or(&image.id)
                );
                match image.state {
                    State::Current => Finding::ok(what),
                    State::Stale => {
                        Finding::warn(format!("{what}, but its definition has changed"), build)
                    }
                }
            }
        });
        for variant in of_target.filter_map(|row| row.image.as_ref()) {
            if variant.variant == Variant::Minimal {
                continue;
            }
            let what = format!(
                "`{target}` ({}, {}): {} MB",
                variant.kind,
                variant.variant,
                variant.size / 1_000_000
            );
            findings.push(match variant.state {
                State::Current => Finding::ok(what),
                // Nothing uses it, and the next test that needs one derives it anew.
                State::Stale => Finding::warn(
                    format!("{what}, but not of the image in use"),
                    Some(format!(
                        "assay images build {target} --variant {}",
                        variant.variant
                    )),
                ),
            });
        }
        if let (true, Some(eol)) = (first.eol_passed, first.eol) {
            findings.push(Finding::warn(
                format!("`{target}` gets no updates since {eol}"),
                Some("move the recipes to a newer release of the distribution".to_owned()),
            ));
        }
    }
    findings
}

fn disk_finding(name: &str, path: &Path) -> Option<Finding> {
    // A folder that does not exist yet lies on the disk of its nearest ancestor that does.
    let there = path.ancestors().find(|ancestor| ancestor.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Some(free_space(&format!("{name} `{}`", path.display()), free))
}

fn free_space(name: &str, free: u64) -> Finding {
    let what = format!("{name} has {:.1} GB free", free as f64 / 1e9);
    let mend = Some("free space there".to_owned());
    if free < DISK_EXHAUSTED {
        Finding::fail(what, mend)
    } else if free < DISK_LOW {
        Finding::warn(what, mend)
    } else {
        Finding::ok(what)
    }
}

fn lab_finding(definitions: &Definitions, cache: &Path) -> Finding {
    let targets: Vec<&str> = definitions
        .iter()
        .filter(|placed| {
            placed
                .definition
                .sources
                .iter()
                .any(|source| source.kind() == SourceKind::Lab)
        })
        .map(|placed| placed.definition.id.as_str())
        .collect();
    match LabManifest::read(cache) {
        Ok(Some(manifest)) => Finding::ok(format!(
            "the lab is built: {} images, {}",
            manifest.images.len(),
            manifest.digest.short()
        )),
        Ok(None) => Finding::warn(
            format!(
                "the lab is not built (no `{}`); without it {} need a registry",
                manifest_path(cache).display(),
                targets.join(", ")
            ),
            Some("assay-lab build".to_owned()),
        ),
        Err(error) => Finding::fail(error.to_string(), error.hint()),
    }
}

fn bootstrap_finding(definitions: &Definitions) -> Finding {
    let needed = definitions.iter().any(|placed| {
        placed
            .definition
            .sources
            .iter()
            .any(|source| matches!(source, Source::Bootstrap(_)))
    });
    let installed = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join("mmdebstrap").is_file())
    });
    if installed {
        Finding::ok("mmdebstrap is installed")
    } else if needed {
        Finding::warn(
            "mmdebstrap is not installed; without it Debian and Ubuntu images need a registry",
            Some("apt-get install mmdebstrap".to_owned()),
        )
    } else {
        Finding::ok("no definition needs mmdebstrap")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(api_version: &str) -> About {
        About {
            product: Product::Docker,
            version: "20.10.24".to_owned(),
            api_version: api_version.to_owned(),
            architecture: "amd64".to_owned(),
            kernel: None,
            data_root: None,
            storage_driver: Some("overlay2".to_owned()),
            cgroup_version: Some("1".to_owned()),
            unbounded: Vec::new(),
            rootless: true,
        }
    }

    #[test]
    fn an_engine_is_judged_by_its_api_version() {
        for (version, level) in [
            ("1.41", Level::Ok),
            ("1.52", Level::Ok),
            ("2.0", Level::Ok),
            ("1.41-rc1", Level::Ok),
            ("1.40", Level::Fail),
            ("1.9", Level::Fail),
            ("", Level::Warn),
            ("new", Level::Warn),
        ] {
            assert_eq!(
                engine_finding("unix:///x", &about(version)).level,
                level,
                "{version}"
            );
        }
        assert_eq!(
            engine_finding("unix:///x", &about("1.41")).what,
            "Docker 20.10.24 answers at `unix:///x`, storage overlay2, cgroups v1, rootless"
        );
    }

    #[test]
    fn podman_is_named_and_what_it_cannot_bound_is_a_warning() {
        let podman = About {
            product: Product::Podman,
            version: "4.3.1".to_owned(),
            unbounded: vec!["memory", "processes"],
            ..about("1.41")
        };
        let named = engine_finding("unix:///x", &podman).what;
        assert!(named.starts_with("Podman 4.3.1 answers"), "{named}");
        let finding = bounds_finding(&podman).expect("a warning");
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.what.contains("memory, processes"), "{finding:?}");
        assert_eq!(bounds_finding(&about("1.41")), None);
    }

    #[test]
    fn what_cannot_boot_is_told_beforehand() {
        let mut about = about("1.41");
        let finding = cgroups_finding(&about).expect("a warning");
        assert_eq!(finding.level, Level::Warn);
        for version in [Some("2".to_owned()), None] {
            about.cgroup_version = version;
            assert_eq!(cgroups_finding(&about), None);
        }
    }

    #[test]
    fn a_disk_is_judged_by_what_is_free() {
        assert_eq!(free_space("x", 80_000_000_000).what, "x has 80.0 GB free");
        assert_eq!(free_space("x", 80_000_000_000).level, Level::Ok);
        assert_eq!(free_space("x", 1_000_000_000).level, Level::Warn);
        assert_eq!(free_space("x", 0).level, Level::Fail);
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(disk_finding("x", &folder.path().join("not/yet")).is_some());
    }

    #[tokio::test]
    async fn without_an_engine_everything_else_is_still_looked_at() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let engine = Engine::connect_to("unix:///does/not/exist.sock").await;
        let definitions = Definitions::load(None).expect("the built-in definitions");
        let today = "2026-01-01".parse().expect("a day");
        let findings = diagnose(&engine, &definitions, cache.path(), today).await;
        assert_eq!(findings[0].level, Level::Fail);
        assert!(findings[0].mend.is_some());
        let lab = findings
            .iter()
            .find(|finding| finding.what.contains("lab"))
            .expect("the lab");
        assert!(lab.what.contains("arch, fedora-44"), "{}", lab.what);
        assert!(findings.iter().any(|finding| finding.what.contains("free")));
    }
}
