//! Files of the user's that are written anew: whole, or not at all.

use std::io;
use std::path::Path;

use crate::error::CliError;

/// Writes beside the file, then renames: it is never half a file. A link stays one, and so do the
/// permissions; a file that is not there is made.
///
/// # Errors
/// If it cannot be written; then what was there stays as it was.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), CliError> {
    let written = || {
        let real = match std::fs::canonicalize(file) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => file.to_owned(),
            Err(error) => return Err(error),
        };
        let mut name = real.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let beside = real.with_file_name(name);
        std::fs::write(&beside, text)?;
        if let Ok(found) = std::fs::metadata(&real) {
            std::fs::set_permissions(&beside, found.permissions())?;
        }
        std::fs::File::open(&beside)?.sync_all()?;
        std::fs::rename(&beside, &real)
    };
    written()
        .map_err(|error| CliError::infrastructure(format!("write `{}`: {error}", file.display())))
}
