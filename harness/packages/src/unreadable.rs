//! Why a package or an index cannot be read. Nothing is read here.

use std::io;

/// Why a package or an index cannot be read.
#[derive(Debug)]
pub enum Unreadable {
    /// The bytes could not be read, or end too soon.
    Read(io::Error),
    /// It is not what it should be.
    Damaged(&'static str),
    /// It holds more than is read.
    TooLarge(&'static str),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(error) => write!(f, "it cannot be read: {error}"),
            Self::Damaged(what) => write!(f, "it is damaged: {what}"),
            Self::TooLarge(what) => write!(f, "it holds too much: {what}"),
        }
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Damaged(_) | Self::TooLarge(_) => None,
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}
