//! When what may recover is asked again, and how long is waited before: one rule for every way out.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, header};

use super::FetchError;
use super::resume::retry_after;
use crate::url::WebUrl;

/// How often something is asked, and how long is waited between.
///
/// The pauses double and are spread by chance, so that clients a busy server has turned away together
/// do not come back together. A server that says when to come back is obeyed; where that is later than
/// the longest pause, it is not bothered again.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// How often it may still be asked, the first time not counted.
    pub(crate) again: u32,
    /// How long is waited before the next time, at most.
    pub(crate) pause: Duration,
    /// Longest pause.
    pub(crate) longest: Duration,
}

impl Patience {
    /// How long to wait before asking again after this fault; `None` if it is not to be asked again.
    pub(crate) fn wait_after(&mut self, fault: &FetchError) -> Option<Duration> {
        let asked = fault.retry_after().unwrap_or(Duration::ZERO);
        if !fault.retry_helps() || self.again == 0 || asked > self.longest {
            return None;
        }
        let wait = spread(self.pause).max(asked);
        self.again -= 1;
        self.pause = (self.pause * 2).min(self.longest);
        Some(wait)
    }
}

/// The fault of an answer that is not the content, with when the server wants to be asked again.
pub(crate) fn status_fault(url: &WebUrl, status: u16, headers: &HeaderMap) -> FetchError {
    let asked = headers.get(header::RETRY_AFTER);
    let asked = asked.and_then(|value| value.to_str().ok());
    FetchError::Status {
        url: url.redacted(),
        status,
        retry_after: asked.and_then(|it| retry_after(it, SystemTime::now())),
    }
}

/// Between a half and the whole of a pause, by chance: the keys of a hash map are random.
fn spread(pause: Duration) -> Duration {
    let chance = RandomState::new().hash_one(0_u8) % 1024;
    pause / 2 + pause.mul_f64(chance as f64 / 2048.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(status: u16, asked: &str) -> FetchError {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, asked.parse().expect("a value"));
        status_fault(&"https://a.test/".parse().expect("a URL"), status, &headers)
    }

    fn patience() -> Patience {
        Patience {
            again: 3,
            pause: Duration::from_secs(4),
            longest: Duration::from_secs(6),
        }
    }

    #[test]
    fn pauses_double_to_the_longest_and_end() {
        let mut patience = patience();
        for pause in [4, 6, 6] {
            let wait = patience.wait_after(&busy(503, "x")).expect("once more");
            let pause = Duration::from_secs(pause);
            assert!(wait >= pause / 2 && wait <= pause, "{wait:?}");
        }
        assert_eq!(patience.wait_after(&busy(503, "x")), None);
    }

    #[test]
    fn a_server_that_says_when_is_obeyed_or_left_alone() {
        let asked = |seconds: &str| patience().wait_after(&busy(429, seconds));
        assert_eq!(asked("5"), Some(Duration::from_secs(5)));
        assert_eq!(asked("7"), None);
        assert_eq!(patience().wait_after(&busy(404, "1")), None);
    }
}
