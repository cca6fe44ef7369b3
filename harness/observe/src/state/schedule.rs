//! What the clock runs: crontab(5), anacrontab(5).

use super::lines::{Comments, lines};

/// True for files of lines; the others of cron's are scripts, whose hash says what they do.
pub(super) fn is_table(path: &str) -> bool {
    let of_scripts = ["cron.hourly", "cron.daily", "cron.weekly", "cron.monthly"];
    !path.starts_with("/etc/periodic/")
        && !of_scripts
            .iter()
            .any(|folder| path.starts_with(&format!("/etc/{folder}/")))
}

/// Schedules, users and commands, and the variables they run with.
pub(super) fn table(text: &str) -> Vec<String> {
    lines(text, Comments::Hash)
}
