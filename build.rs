//! Builds the executor alone and hands its path to the `assay` binary, which embeds it.
//!
//! Alone, because a build of the workspace would unify features into it; static, because it runs in
//! sandboxes of every distribution; in a target folder of its own beside the outer build's, because
//! cargo holds a lock on that one.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    for path in [
        "harness/executor",
        "harness/wire",
        "Cargo.lock",
        "Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    println!("cargo::rustc-env=ASSAY_EXECUTOR_ARCH={architecture}");
    let triple = format!("{architecture}-unknown-linux-gnu");
    // OUT_DIR is <target>/<profile>/build/<package>/out; all profiles share one executor.
    let out = PathBuf::from(variable("OUT_DIR"));
    let target = out
        .ancestors()
        .nth(4)
        .expect("OUT_DIR lies four folders deep")
        .join("executor");
    let status = Command::new(variable("CARGO"))
        .args([
            "build",
            "--package",
            "assay-executor",
            "--profile",
            "executor",
            "--target",
            &triple,
        ])
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Under clippy this would replace the compiler by the linter, which makes no binary.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .expect("cargo can be started by cargo");
    assert!(status.success(), "building the executor failed: {status}");
    let binary = target.join(triple).join("executor/assay-executor");
    println!("cargo::rustc-env=ASSAY_EXECUTOR={}", binary.display());
}
