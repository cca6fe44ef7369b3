//! The packages and recipes of the corpus, made of the rows of the table.
//!
//! Every case has a package `evil-NAME` in one repository a manager, beside `evil-tool`, which holds the
//! helper, and `evil-victim`, which is harmless and whose unit others edit. What the recipes declare is
//! approved by the policy of the project, so that an exit code is of what was done besides.

use std::process::Command;

use assay_lab::forge::{Capability, Forged, OwnContent, OwnFile, OwnPackage, TestKey};

use super::{Case, Deed, File, Text, cases};
use crate::stand::{Manager, Stand};

/// Where the helper lies.
pub(super) const HELPER: &str = "/usr/lib/evil/helper";

/// The script that the hooks of the corpus run.
pub(super) const HOOK: &str = "/usr/lib/evil/hook";

/// What stands before the machine's own `groupadd`.
pub(super) const COMMAND: &str = "/usr/local/sbin/groupadd";

/// The unit of somebody else.
const VICTIM: &str = "/usr/lib/systemd/system/victim.service";

const URL: &str = "https://packages.assay.test/evil";

/// A stand that serves the corpus, in a project whose policy approves what its recipes declare; `None`
/// where container tests are off.
pub(super) fn stand(manager: Manager) -> Option<Stand> {
    // pacman's repositories are the image's own.
    let stand = Stand::start(manager, &[("lab", "http://packages.assay.test/evil")])?;
    let own = packages(manager);
    let files = Forged::own(manager.format(), &own, manager.signer()).files();
    stand.serve("evil", files.expect("a repository"));
    stand.serve_key("evil/key.asc", manager.signer());
    let fingerprint = manager.signer().fingerprint().expect("a key");
    let policy = format!(
        "targets = [\"{}\"]\n\n[policy]\ngroups = [\"crew\"]\n\n[[policy.repositories]]\nurl = \"{URL}/\"\n\
         fingerprints = [\"{fingerprint}\"]\nmachine_wide = true\n",
        stand.target
    );
    std::fs::write(stand.world.project().join("assay.toml"), policy).expect("a project");
    Some(stand)
}

/// The steps of a case, by their ids: `repository` where there is one, `install`, `join` for the command
/// that a package puts its own before, and `again` for the transaction at which a hook runs.
pub(super) fn recipe(manager: Manager, case: &Case) -> String {
    let key = manager.signer();
    let digest = assay_wire::digest::Digest::of(&key.public().expect("a key"));
    let fingerprint = key.fingerprint().expect("a key");
    let named =
        |id: &str, step: String| step.replacen("action =", &format!("id = \"{id}\"\naction ="), 1);
    let repository = manager
        .adds(URL, &format!("{URL}/key.asc"), &digest)
        .replacen(
            "key_url",
            &format!("key_fingerprints = [\"{fingerprint}\"]\nkey_url"),
            1,
        );
    let installs = |id: &str, package: &str| named(id, manager.installs(&format!("\"{package}\"")));
    let mut steps = named("repository", repository);
    steps += &installs("install", &format!("evil-{}", case.name));
    let join =
        "[[steps]]\nid = \"join\"\naction = \"group_add\"\ngroup = \"crew\"\ncreate = true\n\n";
    match case.deed {
        Deed::Payload(_) | Deed::Script(_) | Deed::Trigger(_) => {}
        Deed::Command(_) => steps += join,
        Deed::Hook(..) => {
            // Steps that install and follow each other are one transaction.
            steps += join;
            steps += &installs("again", "evil-victim");
        }
        Deed::Check(_, script) => {
            steps += &format!("[[check]]\nname = \"used\"\nargv = ['sh', '-c', '{script}']\n");
        }
    }
    steps
}

/// Every package of the corpus for a manager.
fn packages(manager: Manager) -> Vec<OwnPackage> {
    let helper = helper();
    let tool = OwnPackage {
        name: "evil-tool".to_owned(),
        files: vec![own(&HELPER[1..], OwnContent::Bytes(helper.clone()), 0o755)],
        ..OwnPackage::default()
    };
    let unit = b"[Service]\nExecStart=/usr/bin/true\n".to_vec();
    let victim = OwnPackage {
        name: "evil-victim".to_owned(),
        files: vec![own(&VICTIM[1..], OwnContent::Bytes(unit), 0o644)],
        ..OwnPackage::default()
    };
    let of_case = |case: &Case| package(case, &helper);
    let here = cases::all().filter(|case| case.on.holds(manager));
    [tool, victim]
        .into_iter()
        .chain(here.map(of_case))
        .collect()
}

fn package(case: &Case, helper: &[u8]) -> OwnPackage {
    let shell = |path: &str, text: &str| {
        let text = format!("#!/bin/sh\n{text}\n").into_bytes();
        own(&path[1..], OwnContent::Bytes(text), 0o755)
    };
    let of = |files: &[File]| files.iter().map(|file| of_table(file, helper)).collect();
    let mut package = OwnPackage {
        name: format!("evil-{}", case.name),
        ..OwnPackage::default()
    };
    let text = match case.deed {
        Deed::Payload(files) => {
            package.files = of(files);
            ""
        }
        Deed::Script(text) => {
            package.script = Some(text.to_owned());
            text
        }
        Deed::Trigger(text) => {
            // rpm looks for folders that begin so (rpm-file-triggers(7)).
            let folder = format!("usr/lib/evil-{}/", case.name);
            let file = format!("{folder}noticed");
            package.files = vec![own(&file, OwnContent::Bytes(Vec::new()), 0o644)];
            package.trigger = Some((format!("/{folder}"), text.to_owned()));
            text
        }
        Deed::Hook(files, text) => {
            package.files = of(files);
            package.files.push(shell(HOOK, text));
            text
        }
        Deed::Command(text) => {
            let text = format!("{text}\nexec /usr/sbin/groupadd \"$@\"");
            package.files = vec![shell(COMMAND, &text)];
            return needing(package, &text);
        }
        Deed::Check(files, text) => {
            package.files = of(files);
            text
        }
    };
    needing(package, text)
}

/// A package that needs what this text names.
fn needing(mut package: OwnPackage, text: &str) -> OwnPackage {
    let others = [(HELPER, "evil-tool"), (VICTIM, "evil-victim")];
    let named = others.iter().filter(|(path, _)| text.contains(path));
    let named: Vec<&str> = named.map(|(_, name)| *name).collect();
    package.depends = named.join(", ");
    package
}

fn own(path: &str, content: OwnContent, mode: u32) -> OwnFile {
    OwnFile {
        path: path.to_owned(),
        content,
        mode,
        capability: None,
    }
}

fn of_table(file: &File, helper: &[u8]) -> OwnFile {
    let content = match file.text {
        Text::Is(text) => OwnContent::Bytes(text.as_bytes().to_vec()),
        Text::Helper | Text::HelperWithCapability => OwnContent::Bytes(helper.to_vec()),
        Text::Key => OwnContent::Bytes(TestKey::Evil.public().expect("a key")),
        Text::LinkTo(target) => OwnContent::Link(target.to_owned()),
    };
    let net_raw = Capability {
        name: "cap_net_raw",
        number: 13,
    };
    OwnFile {
        capability: matches!(file.text, Text::HelperWithCapability).then_some(net_raw),
        ..own(file.path, content, file.mode)
    }
}

/// The helper, compiled by the machine's own compiler: without libraries, for it runs in every image.
fn helper() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("helper");
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/harness/tests/containers/evil/helper.c"
    );
    let compiled = Command::new("gcc")
        .args(["-static", "-O1", "-s", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    assert!(compiled.expect("gcc").success(), "{source} is not compiled");
    std::fs::read(program).expect("a program")
}
