//! Why an archive is not unpacked. Every message is one line: names in it are escaped.

use std::io;

use assay_wire::manifest::escape_path;

/// Most bytes of a name that a message shows.
const SHOWN: usize = 300;

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive cannot be opened.
    #[error("it cannot be opened: {source}")]
    Archive {
        /// Why not.
        source: io::Error,
    },
    /// The first bytes are those of no archive.
    #[error("it is no archive that can be read: neither tar ({}) nor zip", .0)]
    Unknown(&'static str),
    /// The archive contradicts itself, or ends too early.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The archive, or what decompresses it, cannot be read further.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    /// More bytes would come out of it than the op may write.
    #[error("more than {0} bytes would come out of it, the limit of what the step may write")]
    TooLarge(u64),
    /// It holds more entries than are read.
    #[error("it holds more than {0} entries")]
    TooManyEntries(u64),
    /// A part of it that has to be held in memory is too large for that.
    #[error("{what} takes more than {most} bytes")]
    Memory {
        /// The part.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// It holds nothing.
    #[error("it holds no entry")]
    Empty,
    /// Nothing is left of it to be unpacked.
    #[error("nothing is left of it when {0} leading components are dropped from every name")]
    NothingLeft(u32),
    /// The folder cannot be made or opened.
    #[error("the folder {dest} cannot be made: {source}")]
    Dest {
        /// The folder.
        dest: String,
        /// Why not.
        source: io::Error,
    },
    /// An entry is refused or cannot be written.
    #[error("entry `{name}` {fault}")]
    Entry {
        /// Its name, escaped.
        name: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
}

/// Why an entry is refused or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// An empty name.
    #[error("has an empty name")]
    NoName,
    /// A name with control characters.
    #[error("has control characters in its name")]
    ControlCharacters,
    /// An absolute name.
    #[error("has an absolute name")]
    Absolute,
    /// A name with `..`.
    #[error("has `..` in its name")]
    Upwards,
    /// A long name.
    #[error("has a name of more than {0} bytes")]
    LongName(usize),
    /// A deep name.
    #[error("lies more than {0} folders deep")]
    Deep(usize),
    /// A name that is not as a zip file's has to be.
    #[error("has a name with `\\`, which separates nothing in a zip file")]
    Backslash,
    /// A name in no known character set.
    #[error("has a name that is not UTF-8")]
    NotUtf8,
    /// A second entry of the same name in a zip file.
    #[error("is there twice")]
    Twice,
    /// A device, a named pipe or a socket.
    #[error("is a {0}, which is never unpacked")]
    Special(&'static str),
    /// A kind of entry that is not known.
    #[error("is of the kind {0}, which is not known")]
    UnknownKind(String),
    /// An encrypted entry.
    #[error("is encrypted")]
    Encrypted,
    /// A compression that is not known.
    #[error("is compressed by the method {0}; only 0 (stored) and 8 (deflate) are known")]
    Method(u16),
    /// A link or folder with content.
    #[error("has content, which its kind never has")]
    Content,
    /// A symbolic or hard link out of the folder.
    #[error("is a link that leaves the folder")]
    LinkLeaves,
    /// A symbolic link with a target that no link can have.
    #[error("is a link whose target is empty, too long or has control characters")]
    BadTarget,
    /// A hard link to what is not there, or is not the archive's.
    #[error("is a hard link to what is no file of this archive before it")]
    LinkToNothing,
    /// A link of the folder leads out of it, on the way to the entry.
    #[error("would be written through a link that leaves the folder")]
    WrittenThrough,
    /// Links that lead to each other.
    #[error("would be written through too many links")]
    ManyLinks,
    /// A file where a folder should be.
    #[error("needs a folder where something else is")]
    NotAFolder,
    /// A folder where a file or link should be.
    #[error("is no folder, but a folder is in its place")]
    FolderInPlace,
    /// Writing failed.
    #[error("cannot be {what}: {source}")]
    Io {
        /// What was tried, such as `written`.
        what: &'static str,
        /// How it failed.
        source: io::Error,
    },
}

/// What came between an entry and its place: the entry's fault, or the archive's.
#[derive(Debug)]
pub(super) enum PlaceError {
    /// The entry's: it is still to be named.
    Entry(EntryFault),
    /// The archive's.
    Whole(ExtractError),
}

impl PlaceError {
    /// Names the entry.
    pub(super) fn of(self, name: &[u8]) -> ExtractError {
        match self {
            Self::Entry(fault) => ExtractError::entry(name, fault),
            Self::Whole(error) => error,
        }
    }
}

impl From<EntryFault> for PlaceError {
    fn from(fault: EntryFault) -> Self {
        Self::Entry(fault)
    }
}

impl From<ExtractError> for PlaceError {
    fn from(error: ExtractError) -> Self {
        Self::Whole(error)
    }
}

impl EntryFault {
    /// Wraps an I/O error with what was tried; for `map_err`.
    pub(super) fn io<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            what,
            source: source.into(),
        }
    }
}

impl ExtractError {
    /// The fault of an entry, its name escaped and cut.
    pub(super) fn entry(name: &[u8], fault: EntryFault) -> Self {
        let shown = name.get(..SHOWN);
        let mut text = escape_path(shown.unwrap_or(name));
        if shown.is_some_and(|shown| shown.len() < name.len()) {
            text.push('…');
        }
        Self::Entry { name: text, fault }
    }

    /// The fault of reading the archive: an early end is damage, and what a reader of this crate
    /// has refused comes out again as it was.
    pub(super) fn reading(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(refused) => refused,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Damaged("it ends too early".to_owned())
            }
            Err(error) => Self::Read(one_line(&error)),
        }
    }

    /// An error that passes through a reader and comes out of [`ExtractError::reading`] unchanged.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

/// The same error in one line without control characters: decoders word their own.
fn one_line(error: &io::Error) -> io::Error {
    let text: String = error
        .to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN)
        .collect();
    io::Error::new(error.kind(), text)
}
