//! What a container is made of: what every sandbox gets, and the executor put into it.
//!
//! Nothing of the host, no network but loopback, few capabilities, bounds. What is not set here
//! is the engine's default, its seccomp profile above all.

use std::collections::HashMap;
use std::io;
use std::time::SystemTime;

use assay_wire::program::{HARNESS_FOLDER, LEARNED};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    ResourcesUlimits,
};

use crate::session::{SandboxSpec, SandboxUse};

/// Label of the run.
pub(in crate::docker) const LABEL_RUN: &str = "assay.run";
/// Label of the owner.
pub(in crate::docker) const LABEL_OWNER: &str = "assay.owner";
/// Label of the cell.
pub(in crate::docker) const LABEL_CELL: &str = "assay.cell";
/// Label of the moment of creation, in seconds since 1970.
pub(in crate::docker) const LABEL_CREATED: &str = "assay.created";

/// Every capability of what runs in a sandbox (capabilities(7)); all others are dropped.
const CAPABILITIES: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
    "NET_BIND_SERVICE",
];

/// What a sandbox starts with beyond [`CAPABILITIES`], for the executor alone: by `SYS_NICE` it comes
/// before whatever multiplies beside it; by `SYS_PTRACE` it traces; by `SYS_ADMIN` every command
/// installs the filter at which it is traced, and PID 1 makes systemd's one mount; by `SETPCAP` all of
/// them are given up before anything of the sandbox runs, with the system calls an engine allows
/// because of them.
const STARTING: [&str; 4] = ["SYS_NICE", TRACING, "SYS_ADMIN", "SETPCAP"];

/// What the executor traces by.
const TRACING: &str = "SYS_PTRACE";

/// Where systemd finds memory instead of the image's folders, and how it is mounted.
const MEMORY: [(&str, &str); 3] = [
    ("/run", "mode=755"),
    ("/run/lock", "mode=1777"),
    ("/tmp", "mode=1777,exec"),
];

/// A tar archive of the harness's folder, owned by root: the executor, and in place of what an
/// earlier one may have learned of the image an empty file, which says nothing.
pub(super) fn executor_archive(executor: &[u8]) -> io::Result<Vec<u8>> {
    let folder = HARNESS_FOLDER.trim_start_matches('/');
    let header = |kind, mode, size| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header
    };
    let mut archive = tar::Builder::new(Vec::with_capacity(executor.len() + 4096));
    let mut entry = header(tar::EntryType::Directory, 0o755, 0);
    archive.append_data(&mut entry, format!("{folder}/"), io::empty())?;
    for (name, mode, content) in [("executor", 0o755, executor), (LEARNED, 0o644, &[])] {
        let mut entry = header(tar::EntryType::Regular, mode, content.len() as u64);
        archive.append_data(&mut entry, format!("{folder}/{name}"), content)?;
    }
    archive.into_inner()
}

/// What a sandbox starts with.
fn capabilities(spec: &SandboxSpec) -> Vec<&'static str> {
    let all = CAPABILITIES.into_iter().chain(STARTING);
    all.filter(|name| spec.traced || *name != TRACING).collect()
}

/// What every sandbox gets; `image` is a name or an id.
pub(in crate::docker) fn container_body(spec: &SandboxSpec, image: &str) -> ContainerCreateBody {
    let created = spec
        .created
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let labels = HashMap::from([
        (LABEL_RUN.to_owned(), spec.run.to_string()),
        (LABEL_OWNER.to_owned(), spec.owner.to_string()),
        (LABEL_CELL.to_owned(), spec.cell.to_string()),
        (LABEL_CREATED.to_owned(), created.to_string()),
    ]);
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![format!("{HARNESS_FOLDER}/executor")]),
        cmd: Some(match spec.used_for {
            SandboxUse::Booted => vec!["boot".to_owned()],
            SandboxUse::Cell | SandboxUse::Image => Vec::new(),
        }),
        env: Some(Vec::new()),
        user: Some("0:0".to_owned()),
        working_dir: Some("/".to_owned()),
        hostname: Some("sandbox".to_owned()),
        labels: Some(labels),
        // A network namespace with loopback alone. Without this word an engine sets up the same
        // at twice the time, and copies the host's name servers into it.
        network_disabled: Some(true),
        tty: Some(false),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        stop_signal: Some("SIGKILL".to_owned()),
        // An image's own health check would be a command that nobody planned.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(host_config(spec)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &SandboxSpec) -> HostConfig {
    let limits = &spec.limits;
    let words = |list: &[&str]| Some(list.iter().map(|word| (*word).to_owned()).collect());
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let plain = HostConfig {
        network_mode: Some("none".to_owned()),
        privileged: Some(false),
        cap_drop: words(&["ALL"]),
        cap_add: words(&capabilities(spec)),
        // The executor's standard output is the wire: an engine's copy of it would fill the disk.
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        }),
        init: Some(false),
        auto_remove: Some(false),
        memory: Some(bytes(limits.memory_bytes)),
        // Memory and swap together: no swap beyond the memory.
        memory_swap: Some(bytes(limits.memory_bytes)),
        nano_cpus: Some(i64::from(limits.milli_cpus) * 1_000_000),
        pids_limit: Some(i64::from(limits.pids)),
        ulimits: Some(ulimits(limits.file_bytes)),
        ..HostConfig::default()
    };
    match spec.used_for {
        SandboxUse::Cell | SandboxUse::Image => plain,
        SandboxUse::Booted => HostConfig {
            // What systemd may write of the kernel's groups is its own: no path of the host's is
            // mounted, and its namespace ends at its own group.
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            // Docker's AppArmor profile refuses every mount, whoever asks. What else it refuses
            // needs capabilities that nothing in the sandbox has.
            security_opt: words(&["apparmor=unconfined"]),
            tmpfs: Some(
                MEMORY
                    .iter()
                    .map(|(path, options)| ((*path).to_owned(), (*options).to_owned()))
                    .collect(),
            ),
            ..plain
        },
    }
}

/// Resource limits (setrlimit(2)), every one of them given: where the engine lacks
/// `CAP_SYS_RESOURCE` it can lower its own but not raise them, and Podman's defaults are higher
/// than what it may set. They are low enough for such an engine and high enough for what real
/// machines run; `nproc` counts all processes of a user on the host, so the bound that counts for
/// a sandbox is its pids limit.
fn ulimits(file_bytes: u64) -> Vec<ResourcesUlimits> {
    let file_bytes = i64::try_from(file_bytes).unwrap_or(i64::MAX);
    [
        ("core", 0, 0),
        ("fsize", file_bytes, file_bytes),
        ("nofile", 1024, 16_384),
        ("nproc", 16_384, 16_384),
    ]
    .into_iter()
    .map(|(name, soft, hard)| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(soft),
        hard: Some(hard),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lease::OwnerId;
    use crate::session::SandboxLimits;

    fn entries(archive: &[u8]) -> Vec<(String, u32, u64, u64)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().expect("entries");
        entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let header = entry.header();
                (
                    entry.path().expect("a path").display().to_string(),
                    header.mode().expect("a mode"),
                    header.uid().expect("a uid"),
                    header.size().expect("a size"),
                )
            })
            .collect()
    }

    #[test]
    fn the_executor_lies_in_its_folder_and_is_roots() {
        let archive = executor_archive(b"\x7fELF").expect("an archive in memory");
        assert_eq!(
            entries(&archive),
            [
                (".assay/".to_owned(), 0o755, 0, 0),
                (".assay/executor".to_owned(), 0o755, 0, 4),
                (".assay/hashes".to_owned(), 0o644, 0, 0),
            ]
        );
    }

    #[test]
    fn a_sandbox_shares_nothing_with_the_host_and_is_bounded() {
        let spec = SandboxSpec {
            traced: true,
            run: "r-1".parse().expect("a run"),
            owner: OwnerId::of("m", 0, std::path::Path::new("/c")),
            cell: "arch:jq".parse().expect("a cell"),
            image: "sha256:00".to_owned(),
            used_for: SandboxUse::Cell,
            executor: Arc::from(b"x".as_slice()),
            limits: SandboxLimits::default(),
            created: SystemTime::UNIX_EPOCH,
        };
        let body = serde_json::to_value(container_body(&spec, "prepared")).expect("JSON");
        assert_eq!(body["Image"], "prepared");
        let host = &body["HostConfig"];
        let set: Vec<&str> = host
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            set,
            [
                "AutoRemove",
                "CapAdd",
                "CapDrop",
                "Init",
                "LogConfig",
                "Memory",
                "MemorySwap",
                "NanoCpus",
                "NetworkMode",
                "PidsLimit",
                "Privileged",
                "Ulimits",
            ],
            "nothing else is asked for: no mount, device, namespace or profile"
        );
        assert_eq!(host["NetworkMode"], "none");
        assert_eq!(body["NetworkDisabled"], true);
        assert_eq!(host["LogConfig"], serde_json::json!({ "Type": "none" }));
        assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
        let capabilities = [&CAPABILITIES[..], &STARTING[..]].concat();
        assert_eq!(host["CapAdd"], serde_json::json!(capabilities));
        assert_eq!(host["Memory"], host["MemorySwap"]);
        assert_eq!(body["Entrypoint"], serde_json::json!(["/.assay/executor"]));
        assert_eq!(body["Healthcheck"]["Test"], serde_json::json!(["NONE"]));
        assert_eq!(body["Labels"]["assay.owner"], spec.owner.to_string());
        assert_eq!(body["Labels"]["assay.cell"], "arch:jq");

        let booted = SandboxSpec {
            used_for: SandboxUse::Booted,
            ..spec
        };
        let body = serde_json::to_value(container_body(&booted, "prepared")).expect("JSON");
        assert_eq!(body["Cmd"], serde_json::json!(["boot"]));
        let more: Vec<(&String, &serde_json::Value)> = body["HostConfig"]
            .as_object()
            .expect("an object")
            .iter()
            .filter(|(key, value)| host.get(*key) != Some(*value))
            .collect();
        let keys: Vec<&str> = more.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["CgroupnsMode", "SecurityOpt", "Tmpfs"]);
        assert_eq!(body["HostConfig"]["CgroupnsMode"], "private");
        assert_eq!(
            body["HostConfig"]["Binds"],
            serde_json::Value::Null,
            "nothing of the host's is mounted"
        );
    }
}
