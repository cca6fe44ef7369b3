//! Images in a real engine. On when `ASSAY_CONTAINER_TESTS=1`; then a missing engine is a failure.
//!
//! The made-up images carry targets of their own, so that they meet no image of the user's, and are
//! removed at the end. The genuine ones stay: they are what the next run starts from.

use std::path::Path;

use super::inventory::{Label, ask};
use super::*;
use crate::docker::engine::Engine;
use assay_wire::digest::Digest;

/// The engine, or `None` where container tests are off.
async fn engine() -> Option<Engine> {
    if std::env::var("ASSAY_CONTAINER_TESTS").as_deref() != Ok("1") {
        return None;
    }
    Some(
        Engine::connect()
            .await
            .expect("ASSAY_CONTAINER_TESTS=1 needs an engine that answers"),
    )
}

/// A target name nobody else uses, from the test's name and this process.
fn target(name: &str) -> String {
    format!("assay-test-{name}-{}", std::process::id())
}

fn root_tar(os_release: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let files = [
        ("etc/os-release", os_release),
        ("etc/apt/sources.list", "deb http://archive.test/x y z\n"),
    ];
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, content.as_bytes())
            .expect("an entry");
    }
    builder.into_inner().expect("a tar")
}

fn placed(folder: &Path, target: &str, sources: &str) -> Placed {
    let text = format!(
        "id = \"{target}\"\narchitecture = \"amd64\"\nsource_date = \"2024-01-01\"\n\
         family = \"debian\"\npackage_manager = \"apt\"\nlibc = \"glibc\"\nuser = \"dev\"\n\
         plain_http = true\nos_release = \"ID=made-up\\nVERSION_ID=1\"\n{sources}"
    );
    let definition =
        Definition::parse(&format!("{target}.toml"), text.as_bytes()).expect("a definition");
    Placed {
        definition,
        folder: Some(folder.to_owned()),
    }
}

fn tarball(sha256: Digest) -> String {
    format!("[[source]]\nkind = \"tarball\"\nfile = \"root.tar\"\nsha256 = \"{sha256}\"\n")
}

fn options(cache: &Path) -> BuildOptions {
    BuildOptions {
        cache: cache.to_owned(),
        source: None,
        rebuild: false,
    }
}

async fn remove_all(engine: &Engine, target: &str) {
    let label = format!("{}={target}", Label::Target.key());
    for image in engine.labelled_images(&label).await.expect("the images") {
        engine.remove_image(&image.id).await.expect("removed");
    }
    assert_eq!(
        engine.labelled_images(&label).await.expect("the images"),
        []
    );
}

#[tokio::test]
async fn an_image_is_made_once_found_again_and_stale_after_a_change() {
    let Some(engine) = engine().await else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = target("tarball");
    let tar = root_tar("ID=made-up\nVERSION_ID=1\nPRETTY_NAME=x\n");
    std::fs::write(folder.path().join("root.tar"), &tar).expect("a tar");
    let first = placed(folder.path(), &target, &tarball(Digest::of(&tar)));
    let options = options(folder.path());

    let made = build(&engine, &first, &options, &mut |_| {})
        .await
        .expect("an image");
    assert!(made.made && made.image.is_current());
    assert_eq!(made.image.kind, SourceKind::Tarball);
    let hosts = repository_hosts(&engine, &made.image).await.expect("hosts");
    assert_eq!(
        hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["http://archive.test"]
    );
    let again = build(&engine, &first, &options, &mut |_| {})
        .await
        .expect("an image");
    assert!(!again.made);
    assert_eq!(again.image, made.image);
    // The same bytes give the same image, however often it is made.
    let rebuild = BuildOptions {
        rebuild: true,
        ..options.clone()
    };
    let rebuilt = build(&engine, &first, &rebuild, &mut |_| {})
        .await
        .expect("an image");
    assert!(rebuilt.made);
    assert_eq!(rebuilt.image.id, made.image.id);

    let other = root_tar("ID=made-up\nVERSION_ID=1\nPRETTY_NAME=other\n");
    std::fs::write(folder.path().join("root.tar"), &other).expect("a tar");
    let second = placed(folder.path(), &target, &tarball(Digest::of(&other)));
    let found = find(&engine, &second, folder.path())
        .await
        .expect("asked")
        .expect("an image");
    assert_eq!(
        (found.state, found.id),
        (State::Stale, made.image.id.clone())
    );
    let newer = build(&engine, &second, &options, &mut |_| {})
        .await
        .expect("an image");
    assert!(newer.made && newer.image.id != made.image.id);
    let states: Vec<_> = ask(&engine, &second, folder.path())
        .await
        .expect("asked")
        .into_iter()
        .map(|image| (image.state, image.id))
        .collect();
    assert_eq!(
        states,
        [
            (State::Current, newer.image.id),
            (State::Stale, made.image.id)
        ]
    );
    // Nothing is left in the work folder.
    assert!(!folder.path().join("images").join(&target).exists());
    remove_all(&engine, &target).await;
}

#[tokio::test]
async fn wrong_bytes_and_a_wrong_distribution_are_refused_at_once() {
    let Some(engine) = engine().await else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = target("wrong");
    let options = options(folder.path());
    for (os_release, sha256, expected) in [
        (
            "ID=made-up\nVERSION_ID=1\n",
            Some(Digest::of(b"other")),
            "has sha256",
        ),
        (
            "ID=made-up\nVERSION_ID=2\n",
            None,
            "`VERSION_ID` is `2`, not `1`",
        ),
        ("ID=\u{1b}[31m\n", None, "os-release cannot be read"),
    ] {
        let tar = root_tar(os_release);
        std::fs::write(folder.path().join("root.tar"), &tar).expect("a tar");
        let sources = tarball(sha256.unwrap_or_else(|| Digest::of(&tar)));
        // The second source must not be tried: it would hide what is wrong with the first.
        let sources = format!("{sources}[[source]]\nkind = \"lab\"\nfile = \"none\"\n");
        let placed = placed(folder.path(), &target, &sources);
        let error = build(&engine, &placed, &options, &mut |_| {})
            .await
            .expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
    remove_all(&engine, &target).await;
}

#[tokio::test]
async fn sources_are_tried_in_order_and_a_registry_that_does_not_answer_is_passed_quickly() {
    let Some(engine) = engine().await else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = target("order");
    let tar = root_tar("ID=made-up\nVERSION_ID=1\n");
    std::fs::write(folder.path().join("root.tar"), &tar).expect("a tar");
    let sha256 = Digest::of(&tar);
    let sources = format!(
        "[[source]]\nkind = \"registry\"\nreference = \"localhost:1/none@sha256:{sha256}\"\n\
         [[source]]\nkind = \"lab\"\nfile = \"none\"\n{}",
        tarball(sha256)
    );
    let placed = placed(folder.path(), &target, &sources);
    let mut lines = Vec::new();
    let built = build(&engine, &placed, &options(folder.path()), &mut |line| {
        lines.push(line.to_owned())
    })
    .await
    .expect("an image");
    assert_eq!(built.image.kind, SourceKind::Tarball);
    assert!(built.elapsed.as_secs() < 15, "{:?}", built.elapsed);
    let passed: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("no image from the source"))
        .collect();
    assert_eq!(passed.len(), 2, "{lines:?}");
    assert!(
        passed[0].contains("`registry`") && passed[1].contains("`lab`"),
        "{passed:?}"
    );
    let lab = BuildOptions {
        source: Some(SourceKind::Lab),
        rebuild: true,
        ..options(folder.path())
    };
    let error = build(&engine, &placed, &lab, &mut |_| {})
        .await
        .expect_err("no lab");
    assert!(
        error.to_string().contains("the lab has no image `none`"),
        "{error}"
    );
    let bootstrap = BuildOptions {
        source: Some(SourceKind::Bootstrap),
        ..lab
    };
    let error = build(&engine, &placed, &bootstrap, &mut |_| {})
        .await
        .expect_err("not defined");
    assert!(
        matches!(error, BuildError::SourceNotDefined { .. }),
        "{error}"
    );
    remove_all(&engine, &target).await;
}

#[tokio::test]
async fn the_genuine_images_are_what_they_say() {
    let Some(engine) = engine().await else { return };
    let definitions = Definitions::load(None).expect("the built-in definitions");
    let cache = tempfile::tempdir().expect("a temporary folder");
    for target in ["debian-12", "debian-13", "ubuntu-24.04"] {
        let placed = definitions
            .get(&target.parse().expect("a target"))
            .expect("a definition");
        let built = build(&engine, placed, &options(cache.path()), &mut |_| {})
            .await
            .expect("the image");
        assert!(built.image.kind.is_genuine(), "{target}");
        let read = engine
            .read_from_image(&built.image.id, &["/usr/lib/os-release", "/no/such/file"])
            .await
            .expect("read");
        let content = read[0].as_deref().expect("an os-release");
        let facts = rootfs::read_tar(content, "usr/lib/").expect("a tar");
        let bytes = facts.os_release.expect("an os-release");
        let text = os_release::OsRelease::parse(&bytes).expect("an os-release");
        let expected = placed.definition.os_release.as_ref();
        assert_eq!(
            expected.map(|expected| expected.disagreements(&text)),
            Some(Vec::new())
        );
        assert_eq!(read[1], None);
        let hosts = repository_hosts(&engine, &built.image)
            .await
            .expect("hosts");
        assert!(!hosts.is_empty(), "{target} names no repository");
        let again = build(&engine, placed, &options(cache.path()), &mut |_| {})
            .await
            .expect("the image");
        assert!(
            !again.made && again.elapsed.as_secs() < 2,
            "{target}: {:?}",
            again.elapsed
        );
    }
    let error = engine
        .inspect_image("assay/no-such-image:none")
        .await
        .expect_err("missing");
    assert_eq!(
        error.to_string(),
        "the engine has no image `assay/no-such-image:none`"
    );
}
