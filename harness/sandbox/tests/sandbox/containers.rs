//! Sandboxes as a real engine makes them (`ASSAY_CONTAINER_TESTS=1`).

use std::io::Write as _;
use std::time::{Instant, SystemTime};

use assay_sandbox::session::{Change, ChangeKind, Session};
use assay_sandbox::sweep::{Kept, kept_sandboxes, sweep};
use assay_wire::event::InfraCause;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::real::Real;

/// Bits of the capabilities a sandbox has (capabilities(7), linux/capability.h): CHOWN 0,
/// DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10,
/// SYS_CHROOT 18, AUDIT_WRITE 29, SETFCAP 31; and for the executor alone, no
/// command of which has them (the probe here does), SETPCAP 8, SYS_PTRACE 19, SYS_ADMIN 21 and SYS_NICE 23.
const CAPABILITIES: [u32; 15] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 19, 21, 23, 29, 31];

#[tokio::test]
async fn a_sandbox_has_what_is_promised_and_nothing_more() {
    let Some(real) = Real::start("promised").await else {
        return;
    };
    let (mut session, mut probe) = real.session().await;

    let status = probe.ask("read /proc/self/status").await;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("{name} in {status}"))
            .trim()
            .to_owned()
    };
    let expected: u64 = CAPABILITIES.iter().map(|bit| 1_u64 << bit).sum();
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(set), format!("{expected:016x}"), "{set}");
    }
    assert_eq!(field("Pid:"), "1");
    assert_eq!(
        field("Uid:").split_whitespace().collect::<Vec<_>>(),
        ["0"; 4]
    );
    assert_eq!(field("Seccomp:"), "2", "the default profile is on");
    assert_eq!(
        field("NoNewPrivs:"),
        "0",
        "sudo and setuid programs work as on a real machine"
    );

    assert_eq!(probe.ask("list /sys/class/net").await, "lo");
    assert_eq!(
        probe.ask("read /proc/sys/kernel/hostname").await,
        "sandbox\n"
    );
    let limits = probe.ask("read /proc/self/limits").await;
    for (limit, soft, hard) in [
        ("Max file size", "1048576", "1048576"),
        ("Max core file size", "0", "0"),
        ("Max open files", "1024", "16384"),
    ] {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(limit))
            .expect("a limit");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..2], [soft, hard], "{limit}");
    }
    // Docker puts an empty file there, Podman none.
    let servers = probe.ask("read /etc/resolv.conf").await;
    assert!(
        servers.is_empty() || servers.starts_with("No such file"),
        "the host's name servers are nobody's business: {servers}"
    );
    for folder in ["/root", "/home"] {
        assert_eq!(probe.ask(&format!("list {folder}")).await, "", "{folder}");
    }
    // Podman's mark of its containers, an empty file.
    let run = probe.ask("list /var/run").await;
    assert!(["", ".containerenv"].contains(&run.as_str()), "{run}");

    let told = real.inspect(session.name());
    let (config, host) = (&told["Config"], &told["HostConfig"]);
    assert_eq!(host["NetworkMode"], "none");
    assert_eq!(host["LogConfig"]["Type"], "none");
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["Memory"], 256 << 20);
    assert_eq!(host["MemorySwap"], 256 << 20);
    assert_eq!(host["NanoCpus"], 1_500_000_000);
    assert_eq!(host["PidsLimit"], 99);
    assert!(told["Mounts"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(config["Labels"]["assay.run"], real.spec.run.as_str());
    assert_eq!(config["Labels"]["assay.owner"], real.spec.owner.to_string());
    assert_eq!(config["Labels"]["assay.cell"], "debian-12:jq");
    assert!(config["Labels"]["assay.created"].is_string());
    assert!(
        session
            .name()
            .starts_with(&format!("assay-{}-", real.spec.run))
    );
    assert!(session.engine().contains(' '), "{}", session.engine());

    session.close().await.expect("to close");
    session.close().await.expect("to close again");
    real.end().await;
}

#[tokio::test]
async fn the_engine_lists_what_changed() {
    let Some(real) = Real::start("changes").await else {
        return;
    };
    let (mut session, mut probe) = real.session().await;
    assert_eq!(probe.ask("write /tmp/new").await, "Ok(())");
    let changes = session.changes().await.expect("changes");
    let new = Change {
        path: "/tmp/new".to_owned(),
        kind: ChangeKind::Added,
    };
    assert!(changes.contains(&new), "{changes:?}");
    assert!(changes.is_sorted());
    session.close().await.expect("to close");
    real.end().await;
}

#[tokio::test]
async fn an_executor_that_ends_leaves_its_code_and_its_last_words() {
    let Some(real) = Real::start("words").await else {
        return;
    };
    let (mut session, mut probe) = real.session().await;
    probe.tell("complain").await;
    probe.tell("exit 7").await;
    let mut rest = Vec::new();
    probe.0.reader.read_to_end(&mut rest).await.expect("an end");
    assert_eq!(rest, b"");
    assert_eq!(session.read_stderr_tail(), "out of  [31mluck");
    let error = session.why_lost().await;
    assert_eq!(error.cause(), InfraCause::SandboxLost);
    assert!(error.to_string().contains("code 7"), "{error}");
    session.close().await.expect("to close");
    real.end().await;
}

#[tokio::test]
async fn an_executor_whose_input_is_closed_sees_its_end() {
    let Some(real) = Real::start("input").await else {
        return;
    };
    let (mut session, mut probe) = real.session().await;
    probe.0.writer.shutdown().await.expect("to close the input");
    let mut rest = Vec::new();
    probe.0.reader.read_to_end(&mut rest).await.expect("an end");
    assert!(session.why_lost().await.to_string().contains("code 0"));
    session.close().await.expect("to close");
    real.end().await;
}

#[tokio::test]
async fn memory_and_processes_are_bounded() {
    let Some(real) = Real::start("bounds").await else {
        return;
    };
    let (mut session, mut probe) = real.session().await;
    assert_eq!(probe.ask("threads").await, "98", "99 with the first");
    probe.tell(&format!("eat {}", 1_u64 << 30)).await;
    probe
        .0
        .reader
        .read_to_end(&mut Vec::new())
        .await
        .expect("an end");
    let error = session.why_lost().await;
    assert!(error.to_string().contains("out of memory"), "{error}");
    assert!(error.hint().expect("a hint").contains("memory"));
    session.close().await.expect("to close");
    real.end().await;
}

#[tokio::test]
async fn a_missing_image_leaves_nothing() {
    let Some(mut real) = Real::start("missing").await else {
        return;
    };
    real.spec.image = format!("sha256:{}", "0".repeat(64));
    let error = Session::start(&real.backend, &real.spec)
        .await
        .expect_err("no image");
    assert_eq!(error.cause(), InfraCause::ImageMissing, "{error:?}");
    real.end().await;
}

/// The engine takes such a start for a good one: its own child ends in place of the executor.
#[tokio::test]
async fn an_executor_that_cannot_run_is_told_in_the_engines_words() {
    let Some(mut real) = Real::start("refused").await else {
        return;
    };
    real.spec.executor = b"no executable".as_slice().into();
    let (mut session, mut probe) = match Session::start(&real.backend, &real.spec).await {
        Ok(mut session) => {
            let probe = crate::real::Probe(session.channel().expect("its channel"));
            (session, probe)
        }
        // Newer engines notice.
        Err(error) => {
            assert_eq!(error.cause(), InfraCause::EngineRefused, "{error:?}");
            return real.end().await;
        }
    };
    probe
        .0
        .reader
        .read_to_end(&mut Vec::new())
        .await
        .expect("an end");
    let error = session.why_lost().await;
    assert_eq!(error.cause(), InfraCause::SandboxLost);
    assert!(error.to_string().contains("exec format error"), "{error}");
    session.close().await.expect("to close");
    real.end().await;
}

#[tokio::test]
async fn what_is_kept_is_found_and_started_again() {
    let Some(real) = Real::start("kept").await else {
        return;
    };
    let (mut session, mut probe) = real.session().await;
    assert_eq!(probe.ask("write /tmp/file").await, "Ok(())");
    let now = SystemTime::now();
    let kept = session.keep(now).await.expect("to keep it");
    drop(session);
    assert_eq!(real.inspect(&kept.name)["State"]["Running"], false);
    let owner = &real.spec.owner;
    let report = sweep(&real.backend, owner, &real.leases(), Kept::Spare { now })
        .await
        .expect("a sweep");
    assert_eq!(report.spared, [kept.name.as_str()]);
    let found = kept_sandboxes(&real.backend, owner).await.expect("a list");
    assert_eq!(found, std::slice::from_ref(&kept));

    let mut again = Session::reopen(&real.backend, &kept, &real.spec.executor)
        .await
        .expect("to reopen it");
    let mut probe = crate::real::Probe(again.channel().expect("its channel"));
    assert_eq!(probe.ask("read /tmp/file").await, "x");
    again.close().await.expect("to close");
    real.end().await;
}

#[tokio::test]
async fn what_a_killed_run_left_is_swept() {
    let Some(real) = Real::start("killed").await else {
        return;
    };
    let lease = real.leases().acquire(&real.spec.run).expect("a lease");
    let (session, _probe) = real.session().await;
    let name = session.name().to_owned();
    // A killed process runs no destructor.
    std::mem::forget(session);
    let kept = Kept::Spare {
        now: SystemTime::now(),
    };
    let report = sweep(&real.backend, &real.spec.owner, &real.leases(), kept)
        .await
        .expect("a sweep");
    assert_eq!(
        (report.removed.len(), report.alive),
        (0, vec![real.spec.run.clone()])
    );
    drop(lease);
    let report = sweep(&real.backend, &real.spec.owner, &real.leases(), kept)
        .await
        .expect("a sweep");
    assert_eq!(report.removed, [name]);
    real.end().await;
}

#[tokio::test]
async fn a_session_dropped_in_the_middle_of_its_start_leaves_nothing() {
    let Some(real) = Real::start("dropped").await else {
        return;
    };
    for milliseconds in [1, 20, 60, 120] {
        let limit = std::time::Duration::from_millis(milliseconds);
        let _ = tokio::time::timeout(limit, Session::start(&real.backend, &real.spec)).await;
    }
    // Starts that nobody waits for go on one after the other: nothing is left once nothing has
    // been there for a while.
    let deadline = Instant::now() + std::time::Duration::from_secs(60);
    let mut clean = 0;
    while clean < 40 && Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        clean = if real.left().is_empty() { clean + 1 } else { 0 };
    }
    real.end().await;
}

/// The figures go to standard error (`--nocapture`); what is asserted is far below what any
/// machine reaches, so that only a fault of kind can fail it.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_flow_fast_both_ways() {
    let Some(real) = Real::start("flow").await else {
        return;
    };
    let mebibytes = 256_u32;
    let bytes = usize::try_from(mebibytes).expect("a small number") << 20;
    let started = Instant::now();
    let (mut session, mut probe) = real.session().await;
    let start = started.elapsed();

    let begun = Instant::now();
    probe.tell(&format!("spew {bytes}")).await;
    let mut buffer = vec![0; 1 << 16];
    let expected = vec![b'x'; buffer.len()];
    let mut got = 0;
    while got < bytes {
        let count = probe.0.reader.read(&mut buffer).await.expect("bytes");
        assert!(count > 0, "{got} of {bytes}");
        assert!(buffer[..count] == expected[..count]);
        got += count;
    }
    let out = f64::from(mebibytes) / begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    probe.tell(&format!("swallow {bytes}")).await;
    for _ in 0..mebibytes {
        probe
            .0
            .writer
            .write_all(&[b'y'; 1 << 20])
            .await
            .expect("to send");
    }
    assert_eq!(probe.answer().await, bytes.to_string());
    let into = f64::from(mebibytes) / begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    session.close().await.expect("to close");
    writeln!(
        std::io::stderr(),
        "start {start:?}, out {out:.0} MiB/s, in {into:.0} MiB/s, close {:?}",
        begun.elapsed()
    )
    .expect("standard error");
    assert!(
        out > 20.0 && into > 20.0,
        "out {out:.0}, in {into:.0} MiB/s"
    );
    real.end().await;
}
