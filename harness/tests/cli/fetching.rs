//! What is fetched, from a server that speaks TLS: directly, through a company's proxy that wants to
//! know who comes, and through one that opens what passes it.

use std::process::Command;

use assay_testkit::server::{TlsServer, Tunnels};

use crate::env::{Said, TestEnv};

/// `ann` with the password `s3cret`, as a proxy is shown it (RFC 7617 2).
const ANN: &str = "Basic YW5uOnMzY3JldA==";

/// A file of `harness/content/fixtures/keys`.
fn key(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/content/fixtures/keys");
    std::fs::read(format!("{folder}/{name}")).expect("a fixture")
}

/// A recipe that names a key and a file at a host.
fn recipe(host: &str) -> String {
    format!(
        r#"[metadata]
name = "tools"

[[steps]]
action = "apt_repo"
url = "https://{host}/apt"
suites = ["stable"]
key_url = "https://{host}/key.asc"
when = {{ linux_family = ["debian"] }}

[[steps]]
action = "download"
url = "https://{host}/tool"
dest = "/opt/tool"
when = {{ linux_family = ["debian"] }}
"#
    )
}

/// A project that names a host's key and file, may reach loopback, and knows these authorities.
fn project(host: &str, certificates: &str) -> TestEnv {
    TestEnv::empty()
        .with(
            "assay.toml",
            "targets = [\"debian-12\"]\n\n[network]\nallow = \"127.0.0.1\"\n",
        )
        .with("recipes/tools.toml", recipe(host))
        .with("authorities.pem", certificates)
}

/// A server with a key and a file.
fn server(tunnels: Tunnels, credentials: Option<&str>) -> TlsServer {
    let server = TlsServer::start(tunnels, credentials);
    server.give("/key.asc", key("good.asc"));
    server.give("/tool", "#!/bin/sh\n");
    server
}

/// `assay` with the authorities of the project.
fn trusting(env: &TestEnv, line: &str) -> Command {
    let mut command = env.command(&line.split_whitespace().collect::<Vec<_>>());
    command.env("SSL_CERT_FILE", env.path("authorities.pem"));
    command
}

fn run(env: &TestEnv, command: &mut Command) -> Said {
    let said = env.said(command.output().expect("assay starts"));
    said.assert_harmless();
    said
}

#[test]
fn a_server_is_asked_if_it_may_be_and_is_trusted() {
    let server = server(Tunnels::Refused, None);
    let host = server.authority();
    let env = project(&host, &server.certificate());
    let line = format!("pin https://{host}/key.asc https://{host}/tool --format json");
    let said = run(&env, &mut trusting(&env, &line));
    let document = said.json();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(document["pinned"][0]["type"], "OpenPGP key, armored");
    assert_eq!(document["pinned"][1]["size"], 10);
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["GET 127.0.0.1/key.asc", "GET 127.0.0.1/tool"]);

    let line = format!("pin https://{host}/tool");
    let said = run(&env, trusting(&env, &line).env_remove("SSL_CERT_FILE"));
    assert_eq!(said.code, Some(8));
    assert!(said.stderr.contains("`SSL_CERT_FILE`"), "{}", said.stderr);

    env.write("authorities.pem", "no certificate\n");
    let said = run(&env, &mut trusting(&env, &line));
    assert_eq!(said.code, Some(8));
    let advice = "what `SSL_CERT_FILE` and `SSL_CERT_DIR` name";
    assert!(said.stderr.contains(advice), "{}", said.stderr);

    env.write("assay.toml", "");
    let said = run(&env, &mut trusting(&env, &line));
    assert_eq!(said.code, Some(8));
    let advice = "allow = [\"127.0.0.1\"]";
    assert!(said.stderr.contains(advice), "{}", said.stderr);
    assert_eq!(server.asked(), [""; 0], "nobody got as far as a request");
}

#[test]
fn pins_are_written_and_verified_until_the_server_gives_something_else() {
    let server = server(Tunnels::Refused, None);
    let env = project(&server.authority(), &server.certificate());
    let said = run(&env, &mut trusting(&env, "pin --write tools"));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let pinned = env.read("recipes/tools.toml");
    assert_eq!(pinned.matches("sha256 = ").count(), 2, "{pinned}");
    assert_eq!(env.run("check tools").code, Some(0));
    let said = run(&env, &mut trusting(&env, "pin verify"));
    assert_eq!(said.code, Some(0), "{}", said.whole());

    server.give("/tool", "#!/bin/sh\nevil\n");
    let said = run(&env, &mut trusting(&env, "pin verify --format json"));
    let document = said.json();
    assert_eq!(said.code, Some(4), "{}", said.stderr);
    let states: Vec<_> = document["urls"].as_array().expect("rows").iter().collect();
    assert_eq!(states[0]["state"], "same");
    assert_eq!(states[1]["state"], "changed");
    let evidence = states[1]["evidence"].as_str().expect("a path");
    assert_eq!(
        env.read(&evidence.replace("[root]", "..")),
        "#!/bin/sh\nevil\n"
    );
    assert_eq!(env.read("recipes/tools.toml"), pinned, "nothing is taken");
}

#[test]
fn a_proxy_is_gone_through_with_credentials_that_nobody_else_sees() {
    let server = server(Tunnels::Refused, None);
    let proxy = TlsServer::start(Tunnels::PassedOn, Some(ANN));
    let host = server.authority();
    let env = project(&host, &server.certificate());
    let through = |line: &str, user: &str| {
        let mut command = trusting(&env, line);
        command.env(
            "https_proxy",
            format!("http://{user}@{}", proxy.authority()),
        );
        command
    };
    let ann = "ann:s3cret";
    let said = run(&env, &mut through("pin --write tools -v", ann));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let verified = run(&env, &mut through("pin verify -v", ann));
    assert_eq!(verified.code, Some(0), "{}", verified.whole());
    let tunnel = format!("CONNECT {host}");
    let tunnels = vec![tunnel.clone(); 4];
    assert_eq!(proxy.asked(), tunnels, "two URLs, twice");
    assert_eq!(server.asked().len(), 4);

    let except = run(
        &env,
        through("pin verify", ann).env("no_proxy", "127.0.0.0/8"),
    );
    assert_eq!(except.code, Some(0), "{}", except.whole());
    assert_eq!((proxy.asked().len(), server.asked().len()), (0, 2));

    let denied = run(&env, &mut through("pin verify", "ann:wr0ng"));
    assert_eq!(denied.code, Some(8));
    let url = format!("pin https://{host}/tool");
    let told = run(&env, &mut through(&url, "ann:wr0ng"));
    assert_eq!(told.code, Some(8));
    insta::assert_snapshot!("not_let_through", told.stderr.replace(&host, "[host]"));
    // Whoever shows a wrong password again and again is locked out.
    assert_eq!(
        proxy.asked(),
        vec![format!("{tunnel} 407"); 3],
        "three URLs"
    );
    assert_eq!(server.asked(), [""; 0]);

    for said in [&said, &verified, &except, &denied, &told] {
        let text = said.whole();
        for secret in ["s3cret", "wr0ng", ANN] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let files = env.files("..");
    assert!(files.iter().any(|file| file.contains("cache/assay")));
    for file in files {
        let bytes = std::fs::read(env.path(&file)).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("s3cret") && !text.contains(ANN), "{file}");
    }
}

#[test]
fn a_proxy_that_opens_tls_is_trusted_by_its_certificate_and_not_without() {
    let proxy = server(Tunnels::Opened, None);
    // Only the proxy knows this name.
    let env = project("files.company.test", &proxy.certificate());
    let through = |line: &str| {
        let mut command = trusting(&env, line);
        command.env("https_proxy", proxy.authority());
        command
    };
    let said = run(&env, &mut through("pin --write tools"));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let asked = proxy.asked();
    let answered = |path: &str| asked.contains(&format!("GET files.company.test{path}"));
    assert!(answered("/key.asc") && answered("/tool"), "{asked:?}");
    assert_eq!(run(&env, &mut through("pin verify")).code, Some(0));

    let unknown = TlsServer::start(Tunnels::Refused, None);
    env.write("authorities.pem", unknown.certificate());
    let said = run(&env, &mut through("pin https://files.company.test/tool"));
    assert_eq!(said.code, Some(8));
    insta::assert_snapshot!("not_trusted", said.stderr);
    let said = run(&env, &mut through("pin verify --format json"));
    assert_eq!(said.code, Some(8), "{}", said.stderr);
    let document = said.json();
    let told = document["urls"][0]["hints"][0].as_str().expect("a hint");
    assert!(told.contains("`SSL_CERT_FILE`"), "{told}");
    assert!(
        proxy
            .asked()
            .iter()
            .all(|asked| !asked.starts_with("GET /"))
    );
}

#[test]
fn the_key_of_a_personal_archive_is_pinned_and_drifts() {
    let proxy = TlsServer::start(Tunnels::Opened, None);
    let archive = "/1.0/~company/+archive/ubuntu/tools";
    let names = |digit: &str| format!("{{\"signing_key_fingerprint\": \"{}\"}}", digit.repeat(40));
    proxy.give(archive, names("a"));
    let env = project("files.company.test", &proxy.certificate())
        .with("assay.toml", "targets = [\"ubuntu-24.04\"]\n")
        .with(
            "recipes/tools.toml",
            "[metadata]\nname = \"tools\"\n\n[[steps]]\naction = \"apt_ppa\"\nppa = \"company/tools\"\n\
             when = { distro = [\"ubuntu\"] }\n",
        );
    let through = |line: &str| {
        let mut command = trusting(&env, line);
        command.env("https_proxy", proxy.authority());
        command
    };
    let said = run(&env, &mut through("pin --write tools"));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let pinned = format!("key_fingerprint = \"{}\"", "A".repeat(40));
    assert!(env.read("recipes/tools.toml").contains(&pinned));
    assert_eq!(run(&env, &mut through("pin verify")).code, Some(0));
    proxy.give(archive, names("b"));
    let said = run(&env, &mut through("pin verify --format json"));
    assert_eq!(said.code, Some(4), "{}", said.stderr);
    assert_eq!(said.json()["urls"][0]["is"], "B".repeat(40));
}
