//! The table of what comes with packages: parts × ledger × policy → how the set stands.

use assay_wire::consent::Policy;
use assay_wire::package::{KeyPlace, PackageRead, Signature, SigningIndex};
use assay_wire::privileged::{FileText, OperationEvidence};

use super::*;
use crate::consent::tests::{basis, enabled, entry, member, name, operation, until};

fn setuid(path: &str) -> PrivilegedOperation {
    let kind = Kind::FileSetuid {
        path: path.to_owned(),
        mode: 0o4755,
        owner: "root".to_owned(),
    };
    operation(&["docker#1"], kind)
}

/// What a package of an op for these steps brings.
fn set(steps: &[&str], parts: &[PrivilegedOperation]) -> PrivilegedOperation {
    let kind = Kind::Accompanying {
        package: "engine".to_owned(),
        operations: parts.iter().map(PrivilegedOperation::digest).collect(),
    };
    operation(steps, kind)
}

fn consent(parts: &[PrivilegedOperation]) -> Consent {
    Consent {
        operations: part_lines(parts),
        ..entry(&set(&["docker#1"], parts), &["debian-12"])
    }
}

fn of(recipe: &str, consent: Consent) -> Consent {
    Consent {
        recipe: name(recipe),
        ..consent
    }
}

/// How what these parts are stands on debian-12.
fn standing(
    recipes: &[&str],
    parts: &[PrivilegedOperation],
    ledger: &[Consent],
    policy: &Policy,
) -> Standing {
    let steps: Vec<String> = recipes.iter().map(|recipe| format!("{recipe}#1")).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let operation = set(&steps, parts);
    let target = name("debian-12");
    let asked = Asked {
        operation: &operation,
        digest: operation.digest(),
        risk: Risk::RootEquivalent,
        parts: parts.iter().collect(),
        of_image: false,
        target: &target,
    };
    let owners = operation.steps.iter().map(|step| &step.recipe).collect();
    standing_of(&asked, &owners, &basis(ledger, policy))
}

#[test]
fn the_table_of_sets() {
    let (unit, program) = (enabled("engine.service"), setuid("/usr/bin/engine"));
    let parts = [unit.clone(), program.clone()];
    let own = consent(&parts);
    let granted = |entry| Standing::Granted { entry };
    let violated = |entry| Standing::Violated { entry };
    let none = Policy::default();
    let services = Policy {
        services: ["engine.service".to_owned(), "engine.socket".to_owned()].into(),
        ..Policy::default()
    };
    let groups = Policy {
        groups: ["docker".to_owned()].into(),
        ..services.clone()
    };
    let forbids = |kind: KindName| Policy {
        forbidden_kinds: [kind].into(),
        ..Policy::default()
    };
    let tier = Policy {
        group_tiers: [("docker".to_owned(), GroupTier::Forbidden)].into(),
        ..Policy::default()
    };
    let joins = [unit.clone(), member("docker")];
    let only_unit = [unit.clone()];
    let more = [unit.clone(), program.clone(), enabled("engine.socket")];
    let one = ["docker"];
    let two = ["app", "docker"];
    let reworded = Consent {
        operations: part_lines([&unit]),
        ..own.clone()
    };
    let unworded = Consent {
        operations: Vec::new(),
        ..own.clone()
    };
    let elsewhere = Consent {
        targets: vec![name("debian-13")],
        ..own.clone()
    };
    let another = Consent {
        subject: "engine-cli".to_owned(),
        ..own.clone()
    };
    let old = until("2026-11-20", own.clone());
    let by_kind = Standing::Forbidden(ForbiddenBy::Kind);
    for (case, recipes, parts, ledger, policy, wanted) in [
        (
            "none",
            &one[..],
            &parts[..],
            vec![],
            &none,
            Standing::Missing,
        ),
        (
            "its own",
            &one,
            &parts,
            vec![own.clone()],
            &none,
            granted(0),
        ),
        (
            "a part more",
            &one,
            &more,
            vec![own.clone()],
            &none,
            violated(0),
        ),
        (
            "a part less",
            &one,
            &only_unit,
            vec![own.clone()],
            &none,
            violated(0),
        ),
        (
            "two versions",
            &one,
            &more,
            vec![own.clone(), consent(&more)],
            &none,
            granted(1),
        ),
        // Whoever reviews reads the words: they are the digest's, or they grant nothing.
        (
            "other words",
            &one,
            &parts,
            vec![reworded],
            &none,
            violated(0),
        ),
        ("no words", &one, &parts, vec![unworded], &none, violated(0)),
        (
            "another target",
            &one,
            &parts,
            vec![elsewhere],
            &none,
            Standing::Missing,
        ),
        (
            "another package",
            &one,
            &parts,
            vec![another],
            &none,
            Standing::Missing,
        ),
        (
            "old",
            &one,
            &parts,
            vec![old.clone()],
            &none,
            Standing::Expired { entry: 0 },
        ),
        // An op that serves two recipes: the entry of either.
        (
            "of another",
            &one,
            &parts,
            vec![of("app", own.clone())],
            &none,
            Standing::Missing,
        ),
        (
            "of the first",
            &two,
            &parts,
            vec![of("app", own.clone())],
            &none,
            granted(0),
        ),
        (
            "of the second",
            &two,
            &parts,
            vec![own.clone()],
            &none,
            granted(0),
        ),
        (
            "old of the first",
            &two,
            &parts,
            vec![of("app", old.clone()), own.clone()],
            &none,
            granted(1),
        ),
        (
            "old of both",
            &two,
            &parts,
            vec![old],
            &none,
            Standing::Expired { entry: 0 },
        ),
        // Classes: every part, or it is asked for as a whole.
        (
            "approved",
            &one,
            &only_unit,
            vec![],
            &services,
            Standing::Approved(ApprovedBy::Services),
        ),
        (
            "in part",
            &one,
            &parts,
            vec![],
            &services,
            Standing::Missing,
        ),
        (
            "both",
            &one,
            &joins,
            vec![],
            &groups,
            Standing::Approved(ApprovedBy::Services),
        ),
        // What is forbidden, alone or as a part.
        (
            "a part",
            &one,
            &parts,
            vec![own.clone()],
            &forbids(KindName::FileSetuid),
            by_kind,
        ),
        (
            "all sets",
            &one,
            &parts,
            vec![own.clone()],
            &forbids(KindName::Accompanying),
            by_kind,
        ),
        (
            "no part",
            &one,
            &parts,
            vec![own.clone()],
            &forbids(KindName::Kmod),
            granted(0),
        ),
        (
            "a group",
            &one,
            &joins,
            vec![consent(&joins)],
            &tier,
            Standing::Forbidden(ForbiddenBy::GroupTier),
        ),
        (
            "for both",
            &two,
            &parts,
            vec![own],
            &forbids(KindName::FileSetuid),
            by_kind,
        ),
    ] {
        assert_eq!(standing(recipes, parts, &ledger, policy), wanted, "{case}");
    }
}

#[test]
fn what_is_declared_for_two_recipes_needs_two_entries() {
    let mut shared = member("docker");
    shared
        .steps
        .extend(operation(&["app#2"], shared.kind.clone()).steps);
    let target = name("debian-12");
    let asked = Asked {
        operation: &shared,
        digest: shared.digest(),
        risk: Risk::RootEquivalent,
        parts: Vec::new(),
        of_image: false,
        target: &target,
    };
    let owners: BTreeSet<&RecipeName> = shared.steps.iter().map(|step| &step.recipe).collect();
    let docker = entry(&shared, &["debian-12"]);
    let app = of("app", docker.clone());
    for (ledger, wanted) in [
        (vec![], Standing::Missing),
        (vec![docker.clone()], Standing::Missing),
        (
            vec![app.clone(), docker.clone()],
            Standing::Granted { entry: 0 },
        ),
        (
            vec![until("2026-01-01", app), docker],
            Standing::Expired { entry: 0 },
        ),
    ] {
        let basis = basis(&ledger, &Policy::default());
        assert_eq!(standing_of(&asked, &owners, &basis), wanted, "{ledger:?}");
        assert_eq!(
            standing_of(&asked, &BTreeSet::new(), &basis),
            Standing::Missing
        );
    }
}

#[test]
fn lines_of_parts_are_sorted_plain_and_whole() {
    let file = |path: &str| setuid(path);
    let parts = [
        file("/b"),
        file("/a"),
        enabled("engine.service"),
        file("/a"),
        file("/ü\u{202e}\n\u{3164}"),
        file(&format!("/{}", "x".repeat(5000))),
        enabled(""),
    ];
    let lines = part_lines(&parts);
    assert!(lines.is_sorted() && lines.len() == 6, "{lines:#?}");
    let plain = |line: &String| line.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    assert!(lines.iter().all(plain), "{lines:#?}");
    assert!(lines.iter().all(|line| line.len() < 1100));
    assert_eq!(part_line(&parts[2]), "unit.enabled engine.service");
    assert_eq!(part_line(&parts[6]), "unit.enabled (no words)");
    assert!(part_line(&parts[4]).contains("/\\u{fc}\\u{202e}\\u{a}\\u{3164}"));
    // Evidence is none of it.
    let seen = PrivilegedOperation {
        evidence: OperationEvidence::argv(&["systemctl".to_owned()]),
        ..parts[2].clone()
    };
    assert_eq!(part_line(&seen), part_line(&parts[2]));
}

#[test]
fn authorities_are_approved_of_packages_that_the_image_vouches_for() {
    let authority = |file: &str| {
        let file = file.to_owned();
        operation(
            &["docker#1"],
            Kind::CaAdd {
                file,
                says: FileText::Unread,
            },
        )
    };
    let two = [
        authority("/etc/ssl/certs/a.pem"),
        authority("/etc/ssl/certs/b.pem"),
    ];
    let more = [two[0].clone(), enabled("engine.service")];
    let authorities = |package: &str| Policy {
        authorities: [package.to_owned()].into(),
        ..Policy::default()
    };
    let and_services = Policy {
        services: ["engine.service".to_owned()].into(),
        ..authorities("engine")
    };
    let approved = Standing::Approved(ApprovedBy::Authorities);
    for (case, parts, of_image, policy, wanted) in [
        ("both", &two, true, authorities("engine"), approved),
        (
            "another package",
            &two,
            true,
            authorities("motor"),
            Standing::Missing,
        ),
        (
            "of a repository that was added",
            &two,
            false,
            authorities("engine"),
            Standing::Missing,
        ),
        (
            "and a unit",
            &more,
            true,
            authorities("engine"),
            Standing::Missing,
        ),
        (
            "and a unit that is approved",
            &more,
            true,
            and_services,
            approved,
        ),
    ] {
        let mut operation = set(&["docker#1"], parts);
        operation.package = Some("engine".to_owned());
        let target = name("debian-12");
        let asked = Asked {
            operation: &operation,
            digest: operation.digest(),
            risk: Risk::TrustRoot,
            parts: parts.iter().collect(),
            of_image,
            target: &target,
        };
        let standing = stand(&asked, &name("docker"), &basis(&[], &policy));
        assert_eq!(standing, wanted, "{case}");
    }
    // What no package brings is approved by nobody.
    let asked = Asked {
        operation: &two[0],
        digest: two[0].digest(),
        risk: Risk::TrustRoot,
        parts: Vec::new(),
        of_image: true,
        target: &name("debian-12"),
    };
    let standing = stand(&asked, &name("docker"), &basis(&[], &authorities("engine")));
    assert_eq!(standing, Standing::Missing);
}

#[test]
fn a_package_is_the_images_if_each_of_its_name_is() {
    let image = Signature::Verified {
        fingerprint: "A".repeat(40),
        key: KeyPlace::Image {
            path: "/etc/apt/trusted.gpg".to_owned(),
        },
    };
    let declared = Signature::Verified {
        fingerprint: "B".repeat(40),
        key: KeyPlace::Declared {
            step: member("docker").steps[0].clone(),
        },
    };
    let came = |name: &str, own: &Signature, index: Option<&Signature>| PackageCame {
        op: None,
        url: "https://packages.test/x".to_owned(),
        sha256: Digest::of(b"x"),
        bytes: 1,
        content: PackageContent::Read(PackageRead {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "all".to_owned(),
            files: Vec::new(),
            total: 0,
            scripts: Vec::new(),
        }),
        chain: Chain {
            own: own.clone(),
            index: index.map(|signature| SigningIndex {
                url: "https://packages.test/InRelease".to_owned(),
                signature: signature.clone(),
            }),
        },
    };
    let none = Signature::None;
    let mut operation = set(&["docker#1"], &[]);
    assert!(!comes_from_image(&[came("a", &image, None)], &operation));
    operation.package = Some("a".to_owned());
    for (packages, wanted) in [
        (vec![], false),
        (vec![came("b", &image, None)], false),
        (vec![came("a", &image, None)], true),
        (vec![came("a", &none, Some(&image))], true),
        (vec![came("a", &none, Some(&declared))], false),
        (vec![came("a", &none, None)], false),
        (
            vec![came("a", &image, None), came("b", &declared, None)],
            true,
        ),
        (
            vec![came("a", &image, None), came("a", &declared, None)],
            false,
        ),
    ] {
        assert_eq!(
            comes_from_image(&packages, &operation),
            wanted,
            "{packages:?}"
        );
    }
}
