//! A sandbox as the proxy knows it: where its requests are told, and which of them nothing could answer.

use std::sync::{Arc, Mutex, PoisonError};

use assay_content::proxy::{Names, PeerInfo};
use assay_wire::event::{Body, Origin, Request, RequestDecision};
use assay_wire::name::CellId;

use crate::journal::Journal;
use crate::packages::Arrivals;

/// What was asked for first and is in no recording, where nothing else may answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missed(Arc<Mutex<Option<String>>>);

impl Missed {
    /// In words; `None` if everything was answered.
    pub(crate) fn first(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, reason: &str) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| reason.to_owned());
    }
}

/// A peer whose requests are facts of a cell, and which may ask these hosts alone; what nothing answered,
/// and what came.
pub(crate) fn asking(
    journal: &Arc<Journal>,
    cell: &CellId,
    names: &Names,
) -> (PeerInfo, Missed, Arrivals) {
    let (missed, arrivals) = (Missed::default(), Arrivals::default());
    let (journal, cell) = (Arc::clone(journal), cell.clone());
    let (noted, came) = (missed.clone(), arrivals.clone());
    let peer = PeerInfo::new(move |request: Request| {
        if let RequestDecision::Missed { reason } = &request.decision {
            noted.note(reason);
        }
        came.note(&request);
        // A journal that failed stays failed: the cell's next own fact reports it.
        let _ = journal.append(Some(&cell), Origin::Runner, Body::Request(request));
    });
    (peer.only(names.clone()), missed, arrivals)
}

/// Adds the hosts of an image's own repositories, which its manager asks; whether that can be told to
/// trust the run's certificate decides whether their https is looked into.
pub(crate) fn add_repositories(names: &Names, addresses: &[String], manager_trusts: bool) {
    let addresses = || addresses.iter().map(String::as_str);
    names.add_addresses(addresses());
    if !manager_trusts {
        names.leave_unseen(addresses());
    }
}

#[cfg(test)]
mod tests {
    use assay_content::url::HostName;

    use super::*;

    #[test]
    fn https_is_left_unseen_where_the_manager_cannot_be_told() {
        let host = |name| HostName::parse(name).expect("a host");
        for manager_trusts in [true, false] {
            let names = Names::default();
            names.add_text("https://named.example/");
            let addresses = ["https://own.example/x", "http://plain.example/"];
            add_repositories(&names, &addresses.map(str::to_owned), manager_trusts);
            for name in ["own.example", "plain.example", "named.example"] {
                assert!(names.contains(&host(name)), "{name}");
                let unseen = name == "own.example" && !manager_trusts;
                assert_eq!(names.is_unseen(&host(name)), unseen, "{name}");
            }
        }
    }
}
