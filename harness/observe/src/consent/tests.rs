//! The table: declared operations × ledger × policy × day → how each stands.

use assay_wire::consent::{AllowedRepository, GroupTier, Policy};
use assay_wire::name::StepRef;
use assay_wire::plan::{KeyScope, OpId};
use assay_wire::privileged::{KeyIdentity, Kind, OperationEvidence, SourcePlace};

use super::*;

pub(super) const TODAY: &str = "2026-11-21";
const URL: &str = "https://a.test/debian";
const PRINT: &str = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";

pub(super) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

pub(super) fn operation(steps: &[&str], kind: Kind) -> PrivilegedOperation {
    let step = |text: &&str| {
        let (recipe, step) = text.split_once('#').expect("a step");
        StepRef {
            recipe: name(recipe),
            step: name(step),
        }
    };
    let steps = steps.iter().map(step).collect();
    PrivilegedOperation::declared(OpId(1), steps, kind, OperationEvidence::default())
}

pub(super) fn member(group: &str) -> PrivilegedOperation {
    let kind = Kind::GroupMember {
        user: "dev".to_owned(),
        group: group.to_owned(),
    };
    operation(&["docker#1"], kind)
}

pub(super) fn enabled(unit: &str) -> PrivilegedOperation {
    let kind = Kind::UnitEnabled {
        unit: unit.to_owned(),
    };
    operation(&["docker#1"], kind)
}

fn key(key: KeyIdentity, scope: KeyScope) -> PrivilegedOperation {
    let kind = Kind::PkgKey {
        key,
        repository: Some(URL.to_owned()),
        scope,
    };
    operation(&["docker#1"], kind)
}

fn source(keys: &[&str]) -> PrivilegedOperation {
    let print = |text: &&str| KeyIdentity::Fingerprint((*text).to_owned());
    let kind = Kind::PkgSource {
        place: SourcePlace::Url(URL.to_owned()),
        signed_by: keys.iter().map(print).collect(),
        scope: KeyScope::Repository,
    };
    operation(&["docker#1"], kind)
}

fn print() -> KeyIdentity {
    KeyIdentity::Fingerprint(PRINT.to_owned())
}

pub(super) fn entry(operation: &PrivilegedOperation, targets: &[&str]) -> Consent {
    Consent {
        recipe: name("docker"),
        targets: targets.iter().map(|target| name(target)).collect(),
        kind: operation.kind.name(),
        subject: operation.subject.clone(),
        digest: operation.digest(),
        note: "right".to_owned(),
        by: "a@example.org".to_owned(),
        on: "2026-01-01".to_owned(),
        expires: None,
        operations: Vec::new(),
    }
}

pub(super) fn until(day: &str, consent: Consent) -> Consent {
    Consent {
        expires: Some(day.to_owned()),
        ..consent
    }
}

fn repositories(url: &str, print: &str, machine_wide: bool) -> Policy {
    let allowed = AllowedRepository {
        url: url.to_owned(),
        fingerprints: [print.to_owned()].into(),
        machine_wide,
    };
    Policy {
        repositories: vec![allowed],
        ..Policy::default()
    }
}

pub(super) fn basis(ledger: &[Consent], policy: &Policy) -> ConsentBasis {
    ConsentBasis {
        ledger: ledger.to_vec(),
        policy: policy.clone(),
        today: TODAY.to_owned(),
    }
}

/// How the one operation stands on debian-12, and what is stale.
fn judged(
    operation: &PrivilegedOperation,
    ledger: &[Consent],
    policy: &Policy,
) -> (Standing, Vec<Stale>) {
    let (target, recipes) = (name("debian-12"), [name("docker")]);
    let declared = [operation.clone()];
    let plan = DeclaredOn {
        target: &target,
        asked: &recipes,
        recipes: &recipes,
        declared: &declared,
    };
    let judgement = judge_consents(&[plan], &basis(ledger, policy), false);
    assert_eq!(judgement.operations.len(), 1);
    (judgement.operations[0].standing, judgement.stale)
}

#[test]
fn the_table() {
    let (docker, none) = (member("docker"), Policy::default());
    let own = |one: &PrivilegedOperation| entry(one, &["debian-12"]);
    let other_digest = Consent {
        digest: Digest::of(b"another"),
        ..own(&docker)
    };
    let forbids = Policy {
        forbidden_kinds: [KindName::GroupMember].into(),
        ..Policy::default()
    };
    let tier = |tier| Policy {
        group_tiers: [("docker".to_owned(), tier)].into(),
        ..Policy::default()
    };
    let groups = Policy {
        groups: ["docker".to_owned()].into(),
        ..Policy::default()
    };
    let services = Policy {
        services: ["docker.service".to_owned()].into(),
        ..Policy::default()
    };
    let exec = operation(
        &["docker#1"],
        Kind::ExecRoot {
            program: "apt-get".to_owned(),
        },
    );
    let granted = Standing::Granted { entry: 0 };
    let by = |class| Standing::Approved(class);
    let (repository, machine) = (KeyScope::Repository, KeyScope::Machine);
    let folder = "https://a.test/";
    for (operation, ledger, policy, wanted) in [
        // The ledger.
        (&docker, vec![], &none, Standing::Missing),
        (&docker, vec![own(&docker)], &none, granted),
        (
            &docker,
            vec![entry(&docker, &["debian-13"])],
            &none,
            Standing::Missing,
        ),
        (
            &docker,
            vec![Consent {
                recipe: name("podman"),
                ..own(&docker)
            }],
            &none,
            Standing::Missing,
        ),
        (
            &docker,
            vec![Consent {
                kind: KindName::GroupAdd,
                ..own(&docker)
            }],
            &none,
            Standing::Missing,
        ),
        // An entry is read by people: one whose words are not its digest's grants nothing.
        (
            &docker,
            vec![Consent {
                subject: "dev -> audio".to_owned(),
                ..own(&docker)
            }],
            &none,
            Standing::Missing,
        ),
        (
            &docker,
            vec![other_digest.clone()],
            &none,
            Standing::Violated { entry: 0 },
        ),
        (
            &docker,
            vec![other_digest.clone(), own(&docker)],
            &none,
            Standing::Granted { entry: 1 },
        ),
        // Days: the last one still counts.
        (&docker, vec![until(TODAY, own(&docker))], &none, granted),
        (
            &docker,
            vec![until("2026-11-20", own(&docker))],
            &none,
            Standing::Expired { entry: 0 },
        ),
        (
            &docker,
            vec![other_digest, until("2026-11-20", own(&docker))],
            &none,
            Standing::Expired { entry: 1 },
        ),
        // What is ordinary needs none.
        (&exec, vec![], &none, Standing::Ordinary),
        (&docker, vec![], &tier(GroupTier::Safe), Standing::Ordinary),
        (
            &docker,
            vec![],
            &tier(GroupTier::Elevated),
            Standing::Missing,
        ),
        // What is forbidden, nobody can grant.
        (
            &docker,
            vec![own(&docker)],
            &forbids,
            Standing::Forbidden(ForbiddenBy::Kind),
        ),
        (
            &docker,
            vec![own(&docker)],
            &tier(GroupTier::Forbidden),
            Standing::Forbidden(ForbiddenBy::GroupTier),
        ),
        (
            &operation(
                &["docker#1"],
                Kind::GroupAdd {
                    name: "docker".to_owned(),
                },
            ),
            vec![],
            &tier(GroupTier::Forbidden),
            Standing::Forbidden(ForbiddenBy::GroupTier),
        ),
        (
            &docker,
            vec![],
            &Policy {
                groups: groups.groups.clone(),
                ..forbids.clone()
            },
            Standing::Forbidden(ForbiddenBy::Kind),
        ),
        // Classes.
        (&docker, vec![], &groups, by(ApprovedBy::Groups)),
        (&member("sudo"), vec![], &groups, Standing::Missing),
        (
            &enabled("docker.service"),
            vec![],
            &services,
            by(ApprovedBy::Services),
        ),
        (
            &enabled("docker.socket"),
            vec![],
            &services,
            Standing::Missing,
        ),
        (
            &key(print(), repository),
            vec![],
            &repositories(folder, PRINT, false),
            by(ApprovedBy::Repositories),
        ),
        (
            &key(print(), machine),
            vec![],
            &repositories(folder, PRINT, false),
            Standing::Missing,
        ),
        (
            &key(print(), machine),
            vec![],
            &repositories(folder, PRINT, true),
            by(ApprovedBy::Repositories),
        ),
        (
            &key(print(), repository),
            vec![],
            &repositories("https://a.test/deb/", PRINT, false),
            Standing::Missing,
        ),
        (
            &key(print(), repository),
            vec![],
            &repositories("https://a.test/debian/", PRINT, false),
            by(ApprovedBy::Repositories),
        ),
        (
            &key(KeyIdentity::Sha256(Digest::of(b"")), repository),
            vec![],
            &repositories(folder, PRINT, false),
            Standing::Missing,
        ),
        (
            &source(&[PRINT]),
            vec![],
            &repositories(folder, PRINT, false),
            by(ApprovedBy::Repositories),
        ),
        (
            &source(&[PRINT, "AA"]),
            vec![],
            &repositories(folder, PRINT, false),
            Standing::Missing,
        ),
        (
            &source(&[]),
            vec![],
            &repositories(folder, PRINT, false),
            Standing::Missing,
        ),
    ] {
        let (found, _) = judged(operation, &ledger, policy);
        assert_eq!(found, wanted, "{} {ledger:?} {policy:?}", operation.subject);
        let refused = matches!(
            wanted,
            Standing::Forbidden(_)
                | Standing::Missing
                | Standing::Violated { .. }
                | Standing::Expired { .. }
        );
        assert_eq!(found.is_refused(), refused);
        assert_eq!(
            found.can_be_granted(),
            refused && !matches!(wanted, Standing::Forbidden(_))
        );
    }
}

#[test]
fn a_folder_is_not_left_upwards() {
    for (url, wanted) in [
        (
            "https://a.test/debian/x",
            Standing::Approved(ApprovedBy::Repositories),
        ),
        (
            "https://a.test/debian",
            Standing::Approved(ApprovedBy::Repositories),
        ),
        ("https://a.test/debian/../evil", Standing::Missing),
        ("https://a.test/debian2", Standing::Missing),
        ("https://a.test.evil/debian/", Standing::Missing),
    ] {
        let kind = Kind::PkgKey {
            key: print(),
            repository: Some(url.to_owned()),
            scope: KeyScope::Repository,
        };
        let policy = repositories("https://a.test/debian/", PRINT, false);
        let (found, _) = judged(&operation(&["docker#1"], kind), &[], &policy);
        assert_eq!(found, wanted, "{url}");
    }
}

#[test]
fn what_nothing_uses_is_stale_within_what_was_judged() {
    let docker = member("docker");
    let stale = |entry, targets: &[&str]| Stale {
        entry,
        targets: targets.iter().map(|target| name(target)).collect(),
    };
    let used = entry(&docker, &["debian-12", "debian-13"]);
    let gone = entry(&member("sudo"), &["debian-12"]);
    let elsewhere = Consent {
        recipe: name("podman"),
        ..gone.clone()
    };
    let ledger = [used, gone.clone(), elsewhere];
    // debian-13 and podman were not judged: nothing is said of them.
    let (_, found) = judged(&docker, &ledger, &Policy::default());
    assert_eq!(found, [stale(1, &["debian-12"])]);
    // An entry that is needless, because the policy approves the class, is stale as well.
    let groups = Policy {
        groups: ["docker".to_owned()].into(),
        ..Policy::default()
    };
    let (_, found) = judged(&docker, &ledger, &groups);
    assert_eq!(found, [stale(0, &["debian-12"]), stale(1, &["debian-12"])]);
    // One that has expired is not, as long as something asks for it.
    let expired = [until("2026-01-01", entry(&docker, &["debian-12"]))];
    assert_eq!(judged(&docker, &expired, &Policy::default()).1, []);

    let (target, recipes) = (name("debian-12"), [name("docker")]);
    let declared = [docker];
    let plan = DeclaredOn {
        target: &target,
        asked: &recipes,
        recipes: &recipes,
        declared: &declared,
    };
    let all = judge_consents(&[plan], &basis(&ledger, &Policy::default()), true);
    assert_eq!(
        all.stale,
        [
            stale(0, &["debian-13"]),
            stale(1, &["debian-12"]),
            stale(2, &["debian-12"])
        ]
    );
}

#[test]
fn entries_of_what_packages_bring_wait_for_a_run() {
    let docker = member("docker");
    let set = |recipe: &str, targets: &[&str]| Consent {
        recipe: name(recipe),
        kind: KindName::Accompanying,
        operations: vec!["cron /etc/cron.d/x".to_owned()],
        ..entry(&docker, targets)
    };
    let ledger = [
        set("docker", &["debian-12"]),
        set("docker", &["debian-13"]),
        set("podman", &["debian-12", "debian-13"]),
        set("docker", &["debian-12", "debian-13"]),
    ];
    let (target, recipes) = (name("debian-12"), [name("docker")]);
    let declared = [docker];
    let plan = DeclaredOn {
        target: &target,
        asked: &recipes,
        recipes: &recipes,
        declared: &declared,
    };
    let basis = basis(&ledger, &Policy::default());
    let some = judge_consents(&[plan], &basis, false);
    assert_eq!((some.stale, some.unjudged), (vec![], vec![0, 3]));
    // What has no plan in the whole project brings nothing.
    let all = judge_consents(&[plan], &basis, true);
    let stale = |entry, targets: &[&str]| Stale {
        entry,
        targets: targets.iter().map(|target| name(target)).collect(),
    };
    assert_eq!(
        (all.stale, all.unjudged),
        (
            vec![
                stale(1, &["debian-13"]),
                stale(2, &["debian-12", "debian-13"]),
                stale(3, &["debian-13"])
            ],
            vec![0, 3]
        )
    );
}

#[test]
fn operations_are_by_recipe_gravest_first_and_targets_together() {
    let mut shared = member("docker");
    shared.steps.push(StepRef {
        recipe: name("app"),
        step: name("1"),
    });
    let mut refresh = member("sudo");
    refresh.steps.clear();
    let declared = [enabled("docker.service"), shared, refresh];
    let targets: [TargetId; 2] = [name("debian-13"), name("debian-12")];
    let recipes = [name("docker")];
    let plans: Vec<DeclaredOn<'_>> = targets
        .iter()
        .map(|target| DeclaredOn {
            target,
            asked: &recipes,
            recipes: &recipes,
            declared: &declared,
        })
        .collect();
    let ledger = [entry(&declared[0], &["debian-12"])];
    let judgement = judge_consents(&plans, &basis(&ledger, &Policy::default()), false);
    let rows: Vec<String> = judgement
        .operations
        .iter()
        .map(|one| {
            let targets: Vec<&str> = one.targets.iter().map(|target| target.as_str()).collect();
            format!(
                "{} {} {} {}",
                one.recipe,
                one.risk.label(),
                one.operation.subject,
                targets.join(",")
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            "app ROOT dev -> docker debian-13,debian-12",
            "docker ROOT dev -> docker debian-13,debian-12",
            "docker ROOT dev -> sudo debian-13,debian-12",
            "docker PERSIST docker.service debian-13",
            "docker PERSIST docker.service debian-12",
        ]
    );
}

#[test]
fn what_is_granted_alike_is_shown_with_all_its_commands() {
    let argv = |word: &str| PrivilegedOperation {
        evidence: OperationEvidence::argv(&["usermod".to_owned(), word.to_owned()]),
        ..member("docker")
    };
    let declared = [argv("a"), argv("b"), argv("a")];
    let (target, recipes) = (name("debian-12"), [name("docker")]);
    let plan = DeclaredOn {
        target: &target,
        asked: &recipes,
        recipes: &recipes,
        declared: &declared,
    };
    let judgement = judge_consents(&[plan], &basis(&[], &Policy::default()), false);
    let [one] = judgement.operations.as_slice() else {
        panic!("one operation: {judgement:?}");
    };
    assert_eq!(one.operation, &declared[0]);
    assert_eq!(one.also, [&declared[1]]);
}
