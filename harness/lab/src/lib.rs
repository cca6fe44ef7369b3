//! `assay-lab`: builds the stand-in images and the signed repositories of the lab.
//!
//! Where neither a registry nor a distribution's mirror can be reached, the lab runs
//! the real dnf and pacman on Debian's packages. A development tool: never linked
//! into `assay`; its tests alone use [`forge`]. It changes nothing but its cache folder.
//!
//! Reading order: `cli` → `build` (the steps and their cache) → `resolve` (which
//! packages) → `rootfs` (root file systems) → `convert` (Debian packages to neutral
//! ones), `scripts` and `layer` (their maintainer scripts) → `fedora`, `arch`, `apt_repo` (the formats) → `sign`. Data: `data`.
//! Repositories of made-up packages, whole or spoiled: `forge`.

mod apt_repo;
mod arch;
mod build;
mod cli;
mod convert;
mod data;
mod deb;
mod dialect;
mod fedora;
mod files;
pub mod forge;
mod layer;
mod made_up;
mod manifest;
mod process;
mod resolve;
mod rootfs;
mod scripts;
mod sign;
mod sources;
mod terms;
mod version;
mod world;

/// The command line of `assay-lab`.
#[must_use]
pub fn main() -> std::process::ExitCode {
    cli::main()
}
