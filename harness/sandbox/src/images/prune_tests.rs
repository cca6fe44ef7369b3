//! What is needed and what is not, on images that no engine has.

use super::*;

fn definitions() -> Definitions {
    Definitions::load(None).expect("the built-in definitions")
}

fn target(name: &str) -> TargetId {
    name.parse().expect("a target")
}

fn executor() -> Digest {
    Digest::of(b"the executor")
}

fn ours(id: &str, role: Role, of: &str, parent: Option<&str>, because: Option<Because>) -> Ours {
    let executor = (LABEL_EXECUTOR.to_owned(), executor().to_string());
    Ours {
        image: EngineImage {
            id: id.to_owned(),
            tags: vec![format!("assay/{id}:tag")],
            digests: Vec::new(),
            labels: [executor].into(),
            size: match role {
                Role::Minimal(_) => 100,
                Role::Variant(_) => 130,
                Role::Prepared if parent.is_some_and(|of| of.ends_with("systemd")) => 134,
                Role::Prepared => 104,
            },
            since: None,
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            layers: Vec::new(),
        },
        role,
        target: (!of.is_empty()).then(|| target(of)),
        parent: parent.map(str::to_owned),
        because,
    }
}

fn ids(images: &[Ours], scope: Scope) -> Vec<String> {
    let options = PruneOptions {
        scope,
        executor: executor(),
        dry_run: true,
    };
    unneeded(images, &definitions(), &options)
        .into_iter()
        .map(|pruned| format!("{} {}: {}", pruned.id, pruned.bytes, pruned.because.words()))
        .collect()
}

const MINIMAL: Role = Role::Minimal(SourceKind::Bootstrap);
const SYSTEMD: Role = Role::Variant(Variant::Systemd);

#[test]
fn what_is_made_of_an_image_goes_with_it_and_before_it() {
    let changed = Some(Because::Changed);
    let images = [
        ours("a-old", MINIMAL, "debian-12", None, changed),
        ours("b-new", MINIMAL, "debian-12", None, None),
        ours("c-old-systemd", SYSTEMD, "debian-12", Some("a-old"), None),
        ours("d-new-systemd", SYSTEMD, "debian-12", Some("b-new"), None),
        ours("e-of-old", Role::Prepared, "debian-12", Some("a-old"), None),
        ours("f-of-new", Role::Prepared, "debian-12", Some("b-new"), None),
        ours(
            "g-of-old-systemd",
            Role::Prepared,
            "debian-12",
            Some("c-old-systemd"),
            None,
        ),
        ours(
            "h-of-new-systemd",
            Role::Prepared,
            "debian-12",
            Some("d-new-systemd"),
            None,
        ),
    ];
    assert_eq!(
        ids(&images, Scope::Defined),
        [
            "e-of-old 4: what it was made of is not needed",
            "g-of-old-systemd 4: what it was made of is not needed",
            "c-old-systemd 30: what it was made of is not needed",
            "a-old 100: its definition has changed since",
        ]
    );
}

#[test]
fn what_another_executor_prepared_goes_and_what_this_one_did_stays() {
    let mut images = [
        ours("base", MINIMAL, "debian-12", None, None),
        ours("mine", Role::Prepared, "debian-12", Some("base"), None),
        ours("other", Role::Prepared, "debian-12", Some("base"), None),
        ours("none", Role::Prepared, "debian-12", Some("base"), None),
        ours("twice", Role::Prepared, "debian-12", Some("base"), None),
    ];
    images[4].image.tags.clear();
    let label = |executor: &[u8]| Digest::of(executor).to_string();
    let labels = &mut images[2].image.labels;
    labels.insert(LABEL_EXECUTOR.to_owned(), label(b"another"));
    images[3].image.labels.clear();
    assert_eq!(
        ids(&images, Scope::Defined),
        [
            "none 4: another executor is in it",
            "other 4: another executor is in it",
            "twice 4: a newer one has its name",
        ]
    );
}

#[test]
fn only_what_is_asked_for_is_looked_at() {
    let superseded = Some(Because::Superseded);
    let gone = Some(Because::BaseNotNeeded);
    let mut images = [
        ours("arch", MINIMAL, "arch", None, superseded),
        ours("debian", MINIMAL, "debian-12", None, superseded),
        ours(
            "foreign",
            MINIMAL,
            "of-another-project",
            None,
            Some(Because::NoDefinition),
        ),
        ours("orphan", Role::Prepared, "", Some("nowhere"), gone),
        ours("strange", Role::Prepared, "", Some("somebody's"), None),
    ];
    images[4].image.labels.clear();
    let names = |scope| -> Vec<String> {
        let words = ids(&images, scope);
        let name = |line: &String| line.split(' ').next().expect("a name").to_owned();
        words.iter().map(name).collect()
    };
    assert_eq!(names(Scope::Defined), ["orphan", "arch", "debian"]);
    assert_eq!(
        names(Scope::Targets([target("arch")].into())),
        ["arch"],
        "one target"
    );
    assert_eq!(
        names(Scope::Targets([target("of-another-project")].into())),
        ["foreign"]
    );
    assert_eq!(
        names(Scope::All),
        ["orphan", "strange", "arch", "debian", "foreign"]
    );
}
