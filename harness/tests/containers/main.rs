//! The `assay` command with real sandboxes: hostile recipes, signals, full disks, dying engines.
//!
//! On when `ASSAY_CONTAINER_TESTS=1`; then a missing engine or image is a failure. Every test has a
//! cache, and by that an owner, of its own, sweeps nobody else's sandboxes, and ends by asserting
//! that it left nothing behind ([`world`]). No test needs the network: recipes are made of checks
//! and groups, what needs root misbehaves in an image whose `groupadd` does ([`root_child`]), and
//! repositories are small ones that a test writes for itself ([`stand`]); who answers for the world is
//! a server on loopback ([`personal`]).
//!
//! Which engine they use is `DOCKER_HOST`'s to say, Podman's socket like any other
//! (`ci/prove podman`); those of [`podman`] use that socket whatever the others do.

mod content;
mod engine;
mod evil;
mod faults;
mod hostile;
mod images;
mod lifecycle;
mod network;
mod outcomes;
mod personal;
mod podman;
mod registry;
mod repositories;
mod root_child;
mod services;
mod shell;
mod stand;
mod tamper;
mod world;
