//! What no package manager can refuse is refused under the lock: a replay gives what was recorded, and
//! a live run says which URLs are not what was.

use assay_content::store::Store;
use assay_wire::digest::Digest;
use serde_json::Value;

use super::{Manager, NEW, Nobody, Row, Stand, TABLE, genuine, steps};
use crate::stand::Files;
use crate::world::Ran;

/// The rows that this manager takes, without the one that nobody tampered with.
fn taken(column: usize) -> impl Iterator<Item = &'static Row> {
    TABLE
        .iter()
        .filter(move |row| row.name != "nothing" && matches!(row.refused[column], Nobody(_)))
}

/// URLs whose bytes are not those of the lock, as the journal has them.
fn drifted(ran: &Ran, recipe: &str) -> usize {
    let cell = ran.cell(recipe);
    let requests = cell["facts"]["requests"].as_array().expect("requests");
    let differs = |request: &&Value| {
        let (came, locked) = (&request["sha256"], &request["locked"]);
        came.is_string() && locked.is_string() && came != locked
    };
    requests.iter().filter(differs).count()
}

/// Serves the genuine repositories while they are recorded, and the tampered ones from then on.
fn locked(manager: Manager, column: usize) {
    let sections = [("lab", "http://packages.assay.test/lab")];
    let pacman = manager == Manager::Pacman;
    let Some(stand) = Stand::start(manager, if pacman { &sections } else { &[] }) else {
        return;
    };
    // A lock stands beside it.
    let mark = stand.world.project().join("assay.toml");
    if !mark.exists() {
        std::fs::write(mark, "").expect("a project");
    }
    // pacman's one section is exchanged for each row.
    let rows: Vec<&Row> = taken(column).collect();
    let most = if pacman { 1 } else { rows.len() };
    for rows in rows.chunks(most) {
        let serve = |files: &dyn Fn(&Row) -> Files| {
            for row in rows {
                stand.serve(if pacman { "lab" } else { row.name }, files(row));
            }
        };
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        let run = |network| stand.test_with(&names, &["--network", network]);
        serve(&|_| genuine(manager));
        for row in rows {
            // Whatever a row installs live, what is recorded is the genuine package.
            stand.world.recipe(row.name, &steps(manager, row, NEW));
        }
        let recorded = run("record");
        serve(&|row| (row.served)(manager));
        let (live, replayed) = (run("live"), run("replay"));
        for name in names {
            assert_eq!(recorded.outcome(name), "passed", "{}", recorded.told(name));
            assert!(drifted(&live, name) > 0, "{name}: {}", live.told(name));
            assert_eq!(replayed.outcome(name), "passed", "{}", replayed.told(name));
            assert_eq!(drifted(&replayed, name), 0, "{name}");
        }
    }
    stand.world.assert_clean();
}

/// apt refuses an index past its end, which is what becomes of every recording: in a replay it is told
/// not to ask for the date, and the report shows that it was.
#[test]
fn an_index_that_has_ended_since_is_replayed_and_the_report_says_so() {
    let Some(stand) = Stand::start(Manager::Apt, &[]) else {
        return;
    };
    let row = TABLE.iter().find(|row| row.name == "index-outdated");
    let row = row.expect("a row of the table");
    let place = |files: &Files| {
        let found = files.iter().find(|(path, _)| path.ends_with("InRelease"));
        found.expect("an index").1.clone()
    };
    let (valid, ended) = (genuine(Manager::Apt), (row.served)(Manager::Apt));
    stand.serve(row.name, valid.clone());
    stand.world.recipe(row.name, &steps(Manager::Apt, row, NEW));
    let recorded = stand.test_with(&[row.name], &["--network", "record"]);
    assert_eq!(
        recorded.outcome(row.name),
        "passed",
        "{}",
        recorded.told(row.name)
    );

    // The same recording, a year later.
    let (valid, ended) = (place(&valid), place(&ended));
    let store = Store::open(stand.world.cache().join("content")).expect("a store");
    store.put_bytes(&ended).expect("stored");
    let file = stand.world.project().join("assay.lock");
    let lock = std::fs::read_to_string(&file).expect("a lock");
    let entry = |bytes: &[u8]| format!("\"{}\", size = {}", Digest::of(bytes), bytes.len());
    assert_eq!(lock.matches(&entry(&valid)).count(), 1, "{lock}");
    std::fs::write(&file, lock.replace(&entry(&valid), &entry(&ended))).expect("written");

    stand.serve(row.name, (row.served)(Manager::Apt));
    let live = stand.test(&[row.name]);
    assert_eq!(live.outcome(row.name), "failed apply command_failed");
    let replayed = stand.test_with(&[row.name], &["--network", "replay"]);
    assert_eq!(
        replayed.outcome(row.name),
        "passed",
        "{}",
        replayed.told(row.name)
    );
    let insertions =
        replayed.cell(row.name)["facts"]["planned"]["harness"]["insertions"].to_string();
    assert!(
        insertions.contains("Acquire::Check-Valid-Until=false"),
        "{insertions}"
    );
    stand.world.assert_clean();
}

#[test]
fn apt() {
    locked(Manager::Apt, 0);
}

#[test]
fn dnf4() {
    locked(Manager::Dnf4, 1);
}

#[test]
fn dnf5() {
    locked(Manager::Dnf5, 2);
}

#[test]
fn pacman() {
    locked(Manager::Pacman, 3);
}
