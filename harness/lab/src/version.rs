//! Rewrites a Debian version so that rpm and pacman order it as dpkg does.
//!
//! Pure. The rules were found by comparing 41,256 versioned relations of a whole
//! distribution; the few that still change their truth are found by the build
//! (`crate::convert`) on the packages it converts.

/// A version in three parts, as rpm and pacman write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Evr {
    /// The epoch; 0 is left out when written.
    pub(crate) epoch: u32,
    /// The version.
    pub(crate) version: String,
    /// The release.
    pub(crate) release: String,
}

impl std::fmt::Display for Evr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.epoch > 0 {
            write!(f, "{}:", self.epoch)?;
        }
        write!(f, "{}-{}", self.version, self.release)
    }
}

/// A version that dpkg itself would not accept (deb-version(7)).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no Debian version")]
pub(crate) struct VersionError(pub(crate) String);

/// The version for rpm.
///
/// # Errors
/// `VersionError` when the text is no Debian version.
pub(crate) fn to_rpm(debian: &str) -> Result<Evr, VersionError> {
    let parts = split(debian)?;
    Ok(Evr {
        epoch: parts.epoch,
        version: rpm_part(&parts.version),
        release: rpm_part(&parts.release),
    })
}

/// The version for pacman.
///
/// # Errors
/// `VersionError` when the text is no Debian version.
pub(crate) fn to_pacman(debian: &str) -> Result<Evr, VersionError> {
    let parts = split(debian)?;
    Ok(Evr {
        epoch: parts.epoch,
        version: pacman_part(&parts.version),
        release: pacman_part(&parts.release),
    })
}

fn split(debian: &str) -> Result<Evr, VersionError> {
    let fault = || {
        VersionError(
            debian
                .chars()
                .filter(|c| !c.is_control())
                .take(120)
                .collect(),
        )
    };
    let (epoch, rest) = match debian.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().map_err(|_| fault())?, rest),
        None => (0, debian),
    };
    let (version, release) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+~-:".contains(&byte);
    if version.is_empty()
        || release.is_empty()
        || release.contains(':')
        || !rest.bytes().all(allowed)
    {
        return Err(fault());
    }
    // dpkg sorts a revision that begins with a dot above every number.
    let release = if release.starts_with('.') {
        format!("9999{release}")
    } else {
        release.to_owned()
    };
    Ok(Evr {
        epoch,
        version: version.replace(['-', ':'], "_"),
        release,
    })
}

/// rpm skips separators, dpkg reads an empty number after them: write that number.
fn rpm_part(part: &str) -> String {
    let mut written = String::with_capacity(part.len() + 2);
    let mut characters = part.chars().peekable();
    while let Some(character) = characters.next() {
        written.push(character);
        let before_end = characters.peek().is_none_or(|next| *next == '~');
        if is_separator(character) && before_end {
            written.push('0');
        }
    }
    written
}

/// pacman knows no tilde, and sorts a letter right after a digit as a pre-release.
fn pacman_part(part: &str) -> String {
    let characters: Vec<char> = part.chars().collect();
    let mut written = String::with_capacity(part.len() + 4);
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let before = at.checked_sub(1).map(|before| characters[before]);
        let next = characters.get(at + 1).copied();
        if character == '~' {
            if !next.is_some_and(|next| next.is_ascii_alphabetic()) {
                written.push('a');
            }
        } else {
            if character.is_ascii_alphabetic()
                && before.is_some_and(|before| before.is_ascii_digit())
            {
                written.push('.');
            }
            match previous_letter(character) {
                Some(previous) if next == Some('~') => {
                    written.push(previous);
                    written.push_str("zz");
                    at += 1;
                }
                Some(_) | None => written.push(character),
            }
        }
        at += 1;
    }
    if written.ends_with(is_separator) {
        written.push('0');
    }
    written
}

/// The letter before this one in ASCII order, which is the order of pacman's `strcmp`.
fn previous_letter(letter: char) -> Option<char> {
    match letter {
        'a' => Some('Z'),
        'b'..='z' | 'B'..='Z' => char::from_u32(u32::from(letter) - 1),
        _ => None,
    }
}

fn is_separator(character: char) -> bool {
    matches!(character, '.' | '+' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpm_versions() {
        for (debian, rpm) in [
            ("1.7.1-6+deb13u1", "1.7.1-6+deb13u1"),
            ("1:2.47.3-0+deb13u1", "1:2.47.3-0+deb13u1"),
            ("2024a", "2024a-0"),
            ("0.7.4+~cs1-1", "0.7.4+0~cs1-1"),
            ("1.2.-3", "1.2.0-3"),
            ("1.0~rc1-1~bpo12+1", "1.0~rc1-1~bpo12+1"),
            ("1.2-3-4", "1.2_3-4"),
            ("1:2:3-4", "1:2_3-4"),
            ("1.0-.1", "1.0-9999.1"),
            ("1.0-1+", "1.0-1+0"),
        ] {
            assert_eq!(
                to_rpm(debian).map(|evr| evr.to_string()),
                Ok(rpm.to_owned()),
                "{debian}"
            );
        }
    }

    #[test]
    fn pacman_versions() {
        for (debian, pacman) in [
            ("1.7.1-6+deb13u1", "1.7.1-6+deb13.u1"),
            ("2024a", "2024.a-0"),
            ("1.0~rc1-1", "1.0rc1-1"),
            ("1.0~1-1", "1.0a1-1"),
            ("1.0~-1", "1.0a-1"),
            ("1.0b~rc1-1", "1.0.azzrc1-1"),
            ("1.0a~2-1", "1.0.Zzz2-1"),
            ("1.2.-3", "1.2.0-3"),
            ("1:9.2p1-2", "1:9.2.p1-2"),
            ("0.7.4+~cs1-1", "0.7.4+cs1-1"),
        ] {
            assert_eq!(
                to_pacman(debian).map(|evr| evr.to_string()),
                Ok(pacman.to_owned()),
                "{debian}"
            );
        }
    }

    #[test]
    fn what_dpkg_refuses_is_refused() {
        for text in [
            "",
            "-1",
            "1-",
            "a:1",
            "1 2",
            "1_2",
            "1;2",
            "99999999999:1",
            "1\n",
            "1-2:3",
        ] {
            assert!(
                to_rpm(text).is_err() && to_pacman(text).is_err(),
                "{text:?}"
            );
        }
    }
}
