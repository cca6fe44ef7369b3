//! What an executor sends, as the runner takes it: streams, messages, manifests, output.

use std::sync::Arc;
use std::time::Duration;

use assay_content::fetch::{FetchPolicy, Fetcher};
use assay_content::lab_hosts::LabHosts;
use assay_content::store::Store;
use assay_content::upstream::UpstreamProxies;
use assay_observe::{fold, fold_journal};
use assay_run::{CellJob, Context, Journal, PackageReader, run_cells};
use assay_sandbox::fake::{FakeBackend, Script, bytes_frames};
use assay_sandbox::lease::OwnerId;
use assay_sandbox::session::{Backend, SandboxLimits};
use assay_testkit::PlanBuilder;
use assay_testkit::log::planned;
use assay_wire::event::{Body, Origin};
use assay_wire::frame::FrameHeader;
use assay_wire::name::CellId;
use assay_wire::plan::OpId;
use assay_wire::program::Pass;
use tokio::sync::watch;

use super::folder;
use super::journal::{assert_record, started};
use super::network::{authority, closed_proxy, runtime};

/// One cell whose executor does what the bytes say: whatever that is, the run ends, its journal
/// holds together, and a pass has its evidence.
///
/// Each line is a step. Its first byte says which: `h` and `r` introduce the executor and make it
/// ready, `m` and `g` answer the next directive with a manifest of these lines or with the end,
/// `1` and `2` perform that op (the byte after is its number, the rest what it prints), `c` connects
/// to the proxy, `s` sends bytes on the stream the next byte names, `{` and `"` begin a message as
/// it is sent, and anything else is no frame at all. `\n` within a line is written as in a string.
pub fn session(bytes: &[u8]) {
    let folder = folder();
    let plan = PlanBuilder::new("debian-12", "jq").run(&["jq"]);
    let planned = planned(plan.check("works", &["jq"], &["yes"]).build());
    let name = CellId {
        target: planned.plan.target.clone(),
        recipes: planned.plan.recipes.clone(),
    };
    let fake = FakeBackend::new();
    // What looks like the world's fault is tried again, twice: it happens again.
    (0..3).for_each(|_| fake.plays(&name, script(bytes)));
    let run = "20260101-000000-abcd".parse().expect("a run");
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::create(run, &path, Box::new(|_| {})).expect("a journal");
    let journal = Arc::new(journal);
    let job = CellJob {
        cell: name,
        planned,
        not_run: None,
    };
    let (_interrupt, interrupted) = watch::channel(false);
    let lab = LabHosts::default();
    let store = Arc::new(Store::open(folder.path().join("content")).expect("a store"));
    let proxy = closed_proxy(lab.clone());
    let context = Context {
        journal: Arc::clone(&journal),
        packages: PackageReader::new(Arc::clone(&store), proxy.clone()),
        store,
        fetcher: Fetcher::new(FetchPolicy::default(), lab, UpstreamProxies::none()),
        network: assay_wire::lock::Network::Live,
        proxy,
        certificate: authority().certificate_pem(),
        backend: Backend::Fake(fake),
        owner: OwnerId::of("m", 0, folder.path()),
        executor: b"executor".as_slice().into(),
        limits: SandboxLimits::default(),
        cell_time: Duration::from_secs(3600),
        captures: true,
        keep_failed: false,
        interrupted,
    };
    let record = |body| journal.append(None, Origin::Runner, body).expect("written");
    record(Body::RunStarted(started()));
    let ran = runtime().block_on(run_cells(Arc::new(context), vec![job], 1));
    ran.expect("a hostile sandbox breaks no run");
    record(Body::RunEnded { interrupted: false });
    let folded = fold(journal.events().expect("readable")).expect("a journal that holds together");
    let text = std::fs::read_to_string(&path).expect("readable");
    assert_eq!(fold_journal(text.as_bytes()).as_ref(), Ok(&folded));
    assert_record(&folded);
}

fn script(bytes: &[u8]) -> Script {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.fold(Script::default(), |script, line| {
        let unescaped = |bytes: &[u8]| {
            let text: Vec<&[u8]> = bytes.split(|byte| *byte == b'\\').collect();
            let mut out = text[0].to_vec();
            for part in &text[1..] {
                match part.strip_prefix(b"n") {
                    Some(rest) => out.extend([b"\n", rest].concat()),
                    None => out.extend([b"\\", *part].concat()),
                }
            }
            out
        };
        match line {
            b"h" => script.hello(),
            b"r" => script.ready(),
            b"g" => script.goodbye(),
            [b'm', lines @ ..] => {
                let lines = unescaped(lines);
                let lines = lines.split(|byte| *byte == b'\n');
                let lines = lines.filter_map(|line| serde_json::from_slice(line).ok());
                script.manifest(&lines.collect::<Vec<_>>())
            }
            [pass @ (b'1' | b'2'), op, printed @ ..] => {
                let pass = if *pass == b'1' {
                    Pass::First
                } else {
                    Pass::Second
                };
                let op = OpId(u32::from(op.wrapping_sub(b'0')));
                script.op_ok(op, pass, &String::from_utf8_lossy(&unescaped(printed)))
            }
            [b'c', request @ ..] => script.connects(None, unescaped(request)),
            [b's', stream, bytes @ ..] => {
                let stream = u32::from(stream.wrapping_sub(b'0'));
                script.garbage(bytes_frames(stream, &unescaped(bytes)))
            }
            [b'{' | b'"', ..] => {
                let length = u32::try_from(line.len()).unwrap_or(u32::MAX);
                script.garbage([&FrameHeader::message(length).encode()[..], line].concat())
            }
            other => script.garbage(other.to_vec()),
        }
    })
}
