//! The folders of this user: where bytes, images and leases are kept.

use std::path::PathBuf;

use crate::error::CliError;

/// The cache folder, `$XDG_CACHE_HOME/assay` (XDG Base Directory Specification), made if it is not
/// there.
///
/// # Errors
/// If neither `XDG_CACHE_HOME` nor `HOME` is set to an absolute path, or it cannot be made.
pub(crate) fn folder() -> Result<PathBuf, CliError> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let folder = base
        .ok_or_else(|| {
            CliError::usage("there is no cache folder").hint("set HOME or XDG_CACHE_HOME")
        })?
        .join("assay");
    std::fs::create_dir_all(&folder).map_err(|error| {
        CliError::infrastructure(format!(
            "make the cache folder `{}`: {error}",
            folder.display()
        ))
        .hint("name another folder for it with XDG_CACHE_HOME")
    })?;
    Ok(folder)
}
