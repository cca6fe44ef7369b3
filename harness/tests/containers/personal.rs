//! Personal archives: their keys are known by their fingerprints alone, so a recording has to learn
//! which bytes hold them. Key server and archive are one company's proxy, which wants to know who
//! comes, and opens what passes it.

use std::fs;

use assay_content::openpgp;
use assay_lab::forge::{Forged, Format, TestKey};
use assay_testkit::server::{TlsServer, Tunnels};
use assay_wire::digest::Digest;

use crate::stand::{Stand, prints};
use crate::world::{Ran, Running};

/// `ann` with the password `s3cret`, as a proxy is shown it (RFC 7617 2).
const ANN: &str = "Basic YW5uOnMzY3JldA==";

/// What a stand's Ubuntu is called by its archives.
const CODENAME: &str = "noble";

fn fingerprint(key: TestKey) -> String {
    let bytes = key.public().expect("a key");
    let file = openpgp::read(&bytes, u64::from(u32::MAX)).expect("a key");
    file.keys[0].primary.fingerprint.clone()
}

/// Runs the recipe, behind the proxy if there is one.
fn run(stand: &Stand, proxy: Option<&TlsServer>, network: &str) -> Ran {
    let words = ["test", "tools.toml", "--format", "json", "--on"];
    let mut command = stand.world.assay(&words);
    command.args([&stand.target, "--network", network]);
    if let Some(proxy) = proxy {
        let authorities = stand.world.project().join("authorities.pem");
        fs::write(&authorities, proxy.certificate()).expect("a file");
        command.env("SSL_CERT_FILE", authorities).env(
            "https_proxy",
            format!("http://ann:s3cret@{}", proxy.authority()),
        );
    }
    let ran = Running::start(command).end();
    // In the record, in the lock and in what is said: nobody sees the password.
    let lock = fs::read_to_string(stand.world.project().join("assay.lock")).unwrap_or_default();
    for text in [&ran.stdout, &ran.stderr, &lock] {
        assert!(!text.contains("s3cret") && !text.contains(ANN), "{text}");
    }
    ran
}

#[test]
fn the_key_of_a_personal_archive_is_asked_for_once_and_then_in_the_lock() {
    let Some(stand) = Stand::of_ubuntu() else {
        return;
    };
    let proxy = TlsServer::start(Tunnels::Opened, Some(ANN));
    let archive = Forged::genuine(Format::Apt, TestKey::Apt);
    for (path, bytes) in archive.files().expect("a repository") {
        let path = path.replace("dists/stable/", &format!("dists/{CODENAME}/"));
        proxy.give(&format!("/company/tools/ubuntu/{path}"), bytes);
    }
    let fingerprint = fingerprint(TestKey::Apt);
    let question = format!("/pks/lookup?op=get&options=mr&search=0x{fingerprint}");
    let when = "when = { distro = [\"ubuntu\"] }\n\n";
    let adds = format!(
        "[[steps]]\naction = \"apt_ppa\"\nppa = \"company/tools\"\n\
         key_fingerprint = \"{fingerprint}\"\n{when}"
    );
    let installs =
        format!("[[steps]]\naction = \"apt_install\"\npackages = [\"assay-hello\"]\n{when}");
    let check = prints("assay-hello", "assay-hello 2.0");
    stand
        .world
        .recipe("tools", &format!("{adds}{installs}{check}"));
    let lock = stand.world.project().join("assay.lock");

    // Nobody asks for a key but a recording, and not every answer is that key.
    let live = run(&stand, Some(&proxy), "live");
    assert_eq!(live.outcome("tools"), "not_run", "{}", live.stderr);
    assert!(live.detail("tools").contains("--network record"));
    assert_eq!(proxy.asked(), [""; 0]);
    proxy.give(&question, TestKey::Evil.public().expect("a key"));
    let other = run(&stand, Some(&proxy), "record");
    assert_eq!(other.outcome("tools"), "not_run", "{}", other.stderr);
    let told = format!("the key {fingerprint} is not recorded: ");
    assert!(other.stderr.contains(&told), "{}", other.stderr);
    assert!(
        !fs::read_to_string(&lock)
            .unwrap_or_default()
            .contains(&fingerprint)
    );

    let key = TestKey::Apt.public().expect("a key");
    proxy.give(&question, &key);
    drop(proxy.asked());
    let recorded = run(&stand, Some(&proxy), "record");
    assert_eq!(
        recorded.outcome("tools"),
        "passed",
        "{}",
        recorded.told("tools")
    );
    let asked = proxy.asked();
    let questions = asked.iter().filter(|asked| asked.ends_with(&question));
    assert_eq!(questions.count(), 1, "{asked:?}");
    let written = fs::read_to_string(&lock).expect("a lock");
    let line = written.lines().find(|line| line.contains(&fingerprint));
    let line = line.unwrap_or_else(|| panic!("no key in {written}"));
    assert!(line.contains(&Digest::of(&key).to_string()), "{line}");
    assert!(line.contains(&question), "{line}");

    // From then on nobody has to be asked, whatever the key server would say.
    proxy.give(&question, TestKey::Evil.public().expect("a key"));
    let replayed = run(&stand, None, "replay");
    assert_eq!(
        replayed.outcome("tools"),
        "passed",
        "{}",
        replayed.told("tools")
    );
    let live = run(&stand, Some(&proxy), "live");
    assert_eq!(live.outcome("tools"), "passed", "{}", live.told("tools"));
    assert!(proxy.asked().iter().all(|asked| !asked.contains("/pks/")));
    stand.world.assert_clean();
}
