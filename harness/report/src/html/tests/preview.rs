use assay_observe::consent::{ApprovedBy, Standing};
use assay_observe::delta::*;
use assay_observe::risk::{Risk, risk};
use assay_wire::consent::Policy;
use assay_wire::digest::Digest;
use assay_wire::package::*;
use assay_wire::plan::OpId;
use assay_wire::privileged::*;
use std::collections::BTreeMap;
use std::io::Read as _;

#[test]
#[ignore = "a preview"]
#[allow(clippy::disallowed_methods)]
fn preview() {
    let path = std::env::var("JOURNAL").expect("a path");
    let text = std::fs::read_to_string(path).expect("a journal");
    let mut record = assay_observe::fold_journal(&text).expect("a record");
    let mut sink = String::new();
    let _ = std::io::empty().read_to_string(&mut sink);
    let evil = std::env::var("EVIL").is_ok();
    for (number, cell) in record.cells.iter_mut().enumerate() {
        if cell.facts.sandbox.is_none() {
            continue;
        }
        let declared = cell.facts.planned.plan.declared.clone();
        let mut sets: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let digests: BTreeMap<Digest, OpId> = declared.iter().map(|d| (d.digest(), d.op)).collect();
        let steps = cell
            .facts
            .planned
            .plan
            .ops
            .iter()
            .find(|o| !o.steps.is_empty() && !o.once)
            .map(|o| o.steps.clone())
            .unwrap_or_default();
        for (at, seen) in cell.observed.operations.iter_mut().enumerate() {
            if let Some(by) = digests.get(&seen.digest) {
                seen.class = Class::Declared { by: *by };
                continue;
            }
            if evil && number == 3 && at % 7 == 0 {
                seen.class = Class::Undeclared {
                    why: if at % 2 == 0 {
                        Why::Nobody
                    } else {
                        Why::Differs {
                            package: "nginx-common".into(),
                        }
                    },
                };
                continue;
            }
            let package = match &seen.operation.actor {
                Some(Actor {
                    script: Some(s), ..
                }) => s.package.clone(),
                _ => {
                    let s = seen.operation.subject.rsplit('/').next().unwrap_or("x");
                    s.split(['.', '-', ' ', '@'])
                        .next()
                        .unwrap_or("x")
                        .to_owned()
                }
            };
            sets.entry(package.clone()).or_default().push(at);
            seen.class = Class::Accompanying { package };
        }
        let has = |d: &Digest, o: &assay_observe::observed::Observed| {
            o.operations.iter().any(|s| s.digest == *d)
        };
        cell.delta.declared = declared
            .into_iter()
            .enumerate()
            .map(|(i, operation)| {
                let digest = operation.digest();
                let r = risk(&operation.kind, &Policy::default());
                DeclaredOperation {
                    seen: has(&digest, &cell.observed) || r == Risk::Ordinary,
                    attack: assay_observe::attack::technique(operation.kind.name()),
                    risk: r,
                    standing: Some(if r == Risk::Ordinary {
                        Standing::Ordinary
                    } else if evil && i % 5 == 4 {
                        Standing::Missing
                    } else {
                        Standing::Approved(ApprovedBy::Services)
                    }),
                    digest,
                    operation,
                }
            })
            .collect();
        cell.delta.declared.sort_by_key(|d| d.risk);
        for (i, (package, parts)) in sets.iter().enumerate() {
            let parts: Vec<usize> = parts
                .iter()
                .copied()
                .filter(|p| cell.observed.operations[*p].risk != Risk::Ordinary)
                .collect();
            if parts.is_empty() {
                continue;
            }
            let kind = Kind::Accompanying {
                package: package.clone(),
                operations: parts
                    .iter()
                    .map(|p| cell.observed.operations[*p].digest)
                    .collect(),
            };
            let operation = PrivilegedOperation {
                steps: steps.clone(),
                op: cell.observed.operations[parts[0]].operation.op,
                subject: kind.subject(),
                kind,
                origin: Origin::Manifest,
                before: None,
                after: None,
                actor: None,
                package: Some(package.clone()),
                evidence: OperationEvidence::default(),
            };
            cell.delta.accompanying.push(AccompanyingSet {
                digest: operation.digest(),
                risk: parts
                    .iter()
                    .map(|p| cell.observed.operations[*p].risk)
                    .min()
                    .unwrap_or(Risk::Ordinary),
                operation,
                parts,
                standing: Some(if evil && i % 6 == 5 {
                    Standing::Missing
                } else {
                    Standing::Approved(ApprovedBy::Repositories)
                }),
            });
        }
        cell.delta.accompanying.sort_by_key(|s| s.risk);
        let index = SigningIndex {
            url: "https://deb.example.org/debian/dists/bookworm/InRelease".into(),
            signature: Signature::Verified {
                fingerprint: "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8".into(),
                key: KeyPlace::Image {
                    path: "/usr/share/keyrings/debian-archive-keyring.gpg".into(),
                },
            },
        };
        for (i, name) in sets.keys().enumerate() {
            let chain = match i % 8 {
                6 => Chain {
                    own: Signature::None,
                    index: None,
                },
                7 => Chain {
                    own: Signature::Verified {
                        fingerprint: "9DC858229FC7DD38854AE2D88D81803C0EBFCD88".into(),
                        key: KeyPlace::Declared {
                            step: steps[0].clone(),
                        },
                    },
                    index: Some(SigningIndex {
                        url: "https://x.example/repomd.xml".into(),
                        signature: Signature::None,
                    }),
                },
                _ => Chain {
                    own: Signature::None,
                    index: Some(index.clone()),
                },
            };
            cell.delta.packages.push(PackageFact {
                name: name.clone(),
                version: Some(format!("1.{i}-2+deb12u1")),
                sha256: Digest::of(name.as_bytes()),
                op: Some(OpId(2)),
                steps: steps.clone(),
                paths: 20 + i as u64,
                scripts: (i % 4) as u64,
                chain,
                unreadable: None,
            });
        }
        let total: u64 = cell
            .facts
            .manifests
            .iter()
            .map(|m| m.paths.len() as u64)
            .sum();
        cell.delta.paths = PathCounts {
            packages: total * 8 / 10,
            manager: total / 10,
            scripts: total / 20,
            declared: 2,
            others: 0,
            unexplained: 0,
        };
    }
    let mut out = Vec::new();
    crate::html(&record, &mut out).expect("memory");
    std::fs::write("/tmp/p.html", out).expect("a file");
}
