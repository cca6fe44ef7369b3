//! Bytes through the tunnel: a file of the lab, downloaded in a sandbox by a check and thrown away,
//! against the same download from the same proxy's code in a bare container on the host's network.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use assay_content::lab_hosts::LabHosts;

use crate::tools::{Assay, Scratch, docker, finish, median};
use crate::way_out::WayOut;
use crate::{Failure, journal, report};

/// Goal, in MB/s.
const GOAL: f64 = 200.0;

/// Size of the file.
const BYTES: usize = 400_000_000;

/// Perl's base package, which every minimal Debian has, and little of it: the figure is to be the
/// tunnel's. Arguments: `host:port` and the bytes expected.
const DOWNLOAD: &str = r#"use IO::Socket::INET; my $s = IO::Socket::INET->new($ARGV[0]) or die; print $s "GET http://packages.assay.test/big HTTP/1.0\r\n\r\n"; my ($n, $b) = (0, ""); while (my $r = sysread($s, $b, 1048576)) { $n += $r } $n >= $ARGV[1] or die "only $n bytes""#;

/// A shell's script that runs the download, its own arguments, and prints the milliseconds it took.
const TIMED: &str =
    r#"began=$(date +%s%N); perl -e "$@" && echo $((($(date +%s%N) - began) / 1000000))"#;

/// A lab that is nothing but a folder of files.
const LAB: &str = r#"{"schema":"assay-lab","version":1,
"digest":"0000000000000000000000000000000000000000000000000000000000000000","images":[],"keys":[],
"repositories":{"path":"repositories",
"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}}"#;

/// Measures it on one target.
pub(crate) async fn measure(binary: &Path, target: &str, repeats: usize) -> Result<(), Failure> {
    let scratch = Scratch::new("tunnel")?;
    let root = scratch.path();
    let files = root.join("cache/assay/lab/repositories");
    fs::create_dir_all(&files)?;
    let line = "bytes through the tunnel, as many as it takes\n";
    fs::write(files.join("big"), line.repeat(BYTES / line.len() + 1))?;
    fs::write(root.join("cache/assay/lab/manifest.json"), LAB)?;
    // Outside any project, where no plan has a snapshot.
    fs::write(root.join("tunnel.toml"), recipe()?)?;
    let way_out = WayOut::open(LabHosts {
        repositories: Some(files),
    })
    .await?;
    let assay = Assay {
        binary: binary.to_owned(),
        folder: root.to_owned(),
        cache: Some(root.join("cache")),
        way_out: &way_out,
    };

    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        let run = assay.run(&["test", "--on", target, "tunnel.toml"])?;
        let (bytes, ms) = journal::served(&run.events).ok_or("the journal shows no download")?;
        let planned = run.events.iter().find_map(journal::planned);
        let image = planned.and_then(|planned| Some(planned.image.as_ref()?.id.as_str()));
        inside.push(journal::to_f64(bytes) / ms / 1e3);
        let printed = finish(
            docker()
                .args(["run", "--rm", "--network", "host"])
                .args([
                    image.ok_or("the cell has no image")?,
                    "sh",
                    "-c",
                    TIMED,
                    "sh",
                ])
                .args([DOWNLOAD, way_out.proxy_authority(), &BYTES.to_string()]),
        )?;
        outside.push(journal::to_f64(bytes) / printed.trim().parse::<f64>()? / 1e3);
    }
    let (tunnel, loopback) = (median(&mut inside), median(&mut outside));
    report(
        &format!("bytes through the tunnel, {target}"),
        &format!("{tunnel:.0} MB/s"),
        &format!("≥ {GOAL:.0} MB/s"),
    )?;
    writeln!(
        std::io::stdout(),
        "    {repeats} runs from {:.0} to {:.0} MB/s; {:.2} × of {loopback:.0} MB/s from the same proxy over loopback",
        inside.first().copied().unwrap_or_default(),
        inside.last().copied().unwrap_or_default(),
        tunnel / loopback,
    )?;
    Ok(())
}

/// A recipe that only downloads.
fn recipe() -> Result<String, Failure> {
    let word = |text: &str| serde_json::to_string(text);
    Ok(format!(
        "[metadata]\nname = \"tunnel\"\n\n[[steps]]\naction = \"require_command\"\ncommand = \"perl\"\n\n\
         [[check]]\nname = \"it downloads\"\nargv = [\"perl\", \"-e\", {}, \"127.0.0.1:{}\", \"{BYTES}\"]\n",
        word(DOWNLOAD)?,
        assay_wire::program::PROXY_PORT,
    ))
}
