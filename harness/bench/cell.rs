//! One cell as `assay test` runs it – fresh sandbox, every op, manifests, the second apply, the
//! engine's list, the sandbox's end, the report – against the same commands in a bare container.
//!
//! Both are whole processes by the wall clock, in pairs of alternating order, so that whatever
//! else the machine does meets both. The bare container is on the host's network and asks the same
//! proxy's code over TCP; its commands are the plan's, run by root, with the harness's variables.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use assay_wire::event::CellPlanned;
use assay_wire::plan::{Action, Op};

use crate::journal::{self, Manifests, PARTS};
use crate::tools::{Assay, Timed, docker, finish, median, settle};
use crate::{Failure, report};

/// Goal: the cell's time, in times of the bare container's.
const GOAL: f64 = 1.15;

/// Goal: the same commands through the proxy, in times of what they take without it.
const GOAL_PROXY: f64 = 1.03;

/// Pairs through the proxy and without it, for each pair of a cell and its bare container: a few per
/// cent are not to be seen in a handful.
const PROXY_PAIRS: usize = 4;

/// Goals of a manifest of an image of 120 MB, in milliseconds: the first, and a repeated one.
const GOAL_MANIFEST: (f64, f64) = (150.0, 40.0);

/// Compares one cell, `TARGET:RECIPE`.
pub(crate) fn compare(assay: &Assay<'_>, cell: &str, pairs: usize) -> Result<(), Failure> {
    let way_out = assay.way_out;
    let (target, recipe) = cell
        .split_once(':')
        .ok_or_else(|| format!("`{cell}` is not TARGET:RECIPE"))?;
    let arguments = ["test", "--on", target, recipe];
    // Not counted: fills the caches of the way out and of the machine.
    let first = assay.run(&arguments)?;
    let planned = first.events.iter().find_map(journal::planned);
    let planned = planned.ok_or("the journal plans no cell")?;
    let bare = Bare::new(planned, |value| way_out.outside(value))?;
    bare.run()?;

    let (mut ratios, mut assay_ms) = (Vec::new(), Vec::new());
    let (mut bare_ms, mut bare_commands_ms) = (Vec::new(), Vec::new());
    let mut parts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut manifests = Manifests::default();
    for pair in 0..pairs {
        let ((plain, commands), run): ((f64, f64), Timed) = if pair % 2 == 0 {
            let plain = bare.run()?;
            (plain, assay.run(&arguments)?)
        } else {
            let run = assay.run(&arguments)?;
            (bare.run()?, run)
        };
        ratios.push(run.ms / plain);
        bare_ms.push(plain);
        bare_commands_ms.push(commands);
        assay_ms.push(run.ms);
        manifests.add(&run.events);
        for (part, ms) in journal::parts(&run.events, run.ms) {
            parts.entry(part).or_default().push(ms);
        }
    }
    let direct = Bare::new(planned, |value| way_out.direct(value))?;
    let (mut through, mut without) = (Vec::new(), Vec::new());
    for pair in 0..PROXY_PAIRS * pairs {
        // Their commands alone: what starts a container is the same for both.
        let mut both = [(&bare, &mut through), (&direct, &mut without)];
        if pair % 2 == 1 {
            both.reverse();
        }
        for (container, times) in both {
            times.push(container.run()?.1);
        }
    }
    let mut of_proxy: Vec<f64> = through.iter().zip(&without).map(|(a, b)| a / b).collect();
    let of_image = bare.image_bytes()?;
    report(
        &format!("{cell}, against the bare container"),
        &format!("{:.2} ×", median(&mut ratios)),
        &format!("≤ {GOAL} ×"),
    )?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "    {} pairs from {:.2} to {:.2} ×; medians {:.0} ms and {:.0} ms, the commands alone {:.0} ms",
        ratios.len(),
        ratios.first().copied().unwrap_or_default(),
        ratios.last().copied().unwrap_or_default(),
        median(&mut assay_ms),
        median(&mut bare_ms),
        median(&mut bare_commands_ms),
    )?;
    for part in PARTS {
        let ms = parts.get_mut(part).map_or(0.0, |values| median(values));
        writeln!(out, "    {ms:>7.0} ms  {part}")?;
    }
    report(
        &format!("{cell}, the commands through the proxy"),
        &format!("{:.2} ×", median(&mut of_proxy)),
        &format!("≤ {GOAL_PROXY} × of asking the same cache directly"),
    )?;
    // `median` has sorted them.
    let quarter = of_proxy.len() / 4;
    writeln!(
        out,
        "    {} pairs, half of them from {:.2} to {:.2} ×",
        of_proxy.len(),
        of_proxy.get(quarter).copied().unwrap_or_default(),
        of_proxy.get(3 * quarter).copied().unwrap_or_default(),
    )?;
    let size = journal::to_f64(of_image) / 1e6;
    report(
        &format!("first manifest of an image of {size:.0} MB"),
        &format!("{:.0} ms", median(&mut manifests.first_ms)),
        &format!("≤ {:.0} ms at 120 MB", GOAL_MANIFEST.0),
    )?;
    report(
        &format!("repeated manifest, {} objects", manifests.entries),
        &format!("{:.0} ms", median(&mut manifests.repeated_ms)),
        &format!("≤ {:.0} ms at 120 MB", GOAL_MANIFEST.1),
    )?;
    Ok(())
}

/// The same commands without Assay.
struct Bare {
    image: String,
    arguments: Vec<String>,
}

impl Bare {
    fn new(planned: &CellPlanned, proxy: impl Fn(&str) -> String) -> Result<Self, Failure> {
        let image = planned.image.as_ref().ok_or("the cell has no image here")?;
        let mut arguments: Vec<String> = ["run", "--rm", "--network", "host"]
            .map(str::to_owned)
            .into();
        let always = |only_if_exists: &Option<_>| only_if_exists.is_none();
        for variable in &planned.harness.variables {
            if always(&variable.only_if_exists) {
                let value = proxy(&variable.value);
                arguments.extend(["-e".to_owned(), format!("{}={value}", variable.name)]);
            }
        }
        let commands = planned.plan.ops.iter().map(command);
        let script = commands.collect::<Result<Vec<_>, _>>()?.join(" && ");
        let script = format!("s=$(date +%s%N) && {script} && echo $(($(date +%s%N) - s))");
        arguments.extend([image.id.clone(), "sh".to_owned(), "-c".to_owned(), script]);
        Ok(Self {
            image: image.id.clone(),
            arguments,
        })
    }

    /// Runs it; milliseconds from start to end, and of these in the commands alone.
    fn run(&self) -> Result<(f64, f64), Failure> {
        let mut command = docker();
        command.args(&self.arguments);
        settle()?;
        let started = Instant::now();
        let printed = finish(&mut command)?;
        let whole = started.elapsed().as_secs_f64() * 1e3;
        let nanoseconds: f64 = printed.lines().last().unwrap_or_default().parse()?;
        Ok((whole, nanoseconds / 1e6))
    }

    fn image_bytes(&self) -> Result<u64, Failure> {
        let mut command: Command = docker();
        command.args(["image", "inspect", "--format", "{{.Size}}", &self.image]);
        Ok(finish(&mut command)?.trim().parse()?)
    }
}

/// An op as a line for a shell.
fn command(op: &Op) -> Result<String, Failure> {
    match &op.action {
        Action::Run { argv } => {
            let words = argv
                .iter()
                .map(|word| format!("'{}'", word.replace('\'', r"'\''")));
            Ok(words.collect::<Vec<_>>().join(" "))
        }
        Action::Write { path, .. } => {
            Err(format!("the plan writes `{path}`: choose a recipe of commands alone").into())
        }
        Action::Extract { archive, .. } => {
            Err(format!("the plan unpacks `{archive}`: choose a recipe of commands alone").into())
        }
    }
}
