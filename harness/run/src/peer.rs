//! A sandbox as the proxy knows it: where its requests are told, and which of them nothing could answer.

use std::sync::{Arc, Mutex, PoisonError};

use assay_content::proxy::{Names, PeerInfo};
use assay_wire::event::{Body, Origin, Request, RequestDecision};
use assay_wire::name::CellId;

use crate::journal::Journal;

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

/// A peer whose requests are facts of a cell, and which may ask these hosts alone.
pub(crate) fn asking(journal: &Arc<Journal>, cell: &CellId, names: &Names) -> (PeerInfo, Missed) {
    let missed = Missed::default();
    let (journal, cell, noted) = (Arc::clone(journal), cell.clone(), missed.clone());
    let peer = PeerInfo::new(move |request: Request| {
        if let RequestDecision::Missed { reason } = &request.decision {
            noted.note(reason);
        }
        // A journal that failed stays failed: the cell's next own fact reports it.
        let _ = journal.append(Some(&cell), Origin::Runner, Body::Request(request));
    });
    (peer.only(names.clone()), missed)
}
