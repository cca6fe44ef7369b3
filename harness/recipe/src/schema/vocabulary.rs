//! What an editor is told of every action: its keys, what they hold as a pattern, and what that
//! means. [`super`] makes the schema of it. Which actions and keys there are, says [`crate::action`];
//! a test holds that it is the same here.

/// An action as an editor is told of it.
pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) keys: &'static [(Presence, Key)],
}

/// Whether a key has to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

use Presence::{Optional, Required};

/// A key of an action: its name, what it holds, and what that means.
pub(super) struct Key(
    pub(super) &'static str,
    pub(super) Holds,
    pub(super) &'static str,
);

/// What a key holds.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// A string of this pattern.
    Text(&'static str),
    /// A base URL: a string of this pattern that does not name a `.repo` file.
    BaseUrl,
    /// One string of this pattern, or a list of them.
    List(&'static str),
    /// Packages, their names of this pattern.
    Packages(&'static str),
    /// True or false.
    Flag,
    /// A whole number up to this.
    Number(u32),
}

pub(super) const COMMAND: &str = "^[A-Za-z0-9_][A-Za-z0-9._+@-]{0,254}$";
pub(super) const CONSTRAINTS: &str =
    "^(any|auto| *(>=|<=|=|>|<) *[A-Za-z0-9][^ ,]* *(, *(>=|<=|=|>|<) *[A-Za-z0-9][^ ,]* *)*)$";
pub(super) const DISTRO: &str =
    "^[a-z0-9][a-z0-9._-]{0,63} *((>=|<=|=|>|<) *[0-9.]+ *(, *(>=|<=|=|>|<) *[0-9.]+ *)*)?$";
pub(super) const DISTRO_ID: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";
pub(super) const DURATION: &str = "^[0-9]{1,9}(ms|s|m|h)$";
pub(super) const FINGERPRINT: &str = "^([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})$";
pub(super) const FINGERPRINT_4: &str = "^[0-9A-Fa-f]{40}$";
pub(super) const LIBRARY: &str = "^[A-Za-z0-9][A-Za-z0-9._+-]*\\.so[A-Za-z0-9._+-]*$";
pub(super) const LINE: &str = "[^ ]";
pub(super) const MODE: &str = "^[0-7]{3,4}$";
pub(super) const OWNER_AND_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._+-]*/[A-Za-z0-9][A-Za-z0-9._+-]*$";
pub(super) const PACKAGE_VERSION: &str = "^[A-Za-z0-9][A-Za-z0-9.+~^:_-]{0,255}$";
pub(super) const PLACE: &str = "^(/|~/)[^/]";
pub(super) const PROGRAM: &str = "^(/[A-Za-z0-9/._+@-]+|[A-Za-z0-9_][A-Za-z0-9._+@-]{0,254})$";
pub(super) const RECIPE: &str = "^[a-z0-9][a-z0-9._+-]{0,99}$";
pub(super) const RELATIVE: &str = "^[^/]";
pub(super) const REPOSITORY: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";
pub(super) const ROLE: &str = "^[a-z][a-z0-9_-]{0,63}$";
pub(super) const SERVICE: &str = "^[A-Za-z0-9_][A-Za-z0-9:_.@\\\\-]{0,254}$";
pub(super) const SHA256: &str = "^[0-9A-Fa-f]{64}$";
pub(super) const STEP_ID: &str = "^[a-z0-9][a-z0-9._-]{0,99}$";
pub(super) const TEXT: &str = "[^\\s]";
pub(super) const URL: &str =
    "^https://[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?([/?][A-Za-z0-9._~!&'()*+,;=:@/?%{}-]*)?$";
pub(super) const USER: &str = "^[a-z_][a-z0-9_-]{0,31}$";
pub(super) const VERSION: &str = "^[0-9][A-Za-z0-9.+~_-]{0,99}$";
pub(super) const VERSION_FLAG: &str = "^-{0,2}[A-Za-z0-9][A-Za-z0-9._=-]{0,63}$";
pub(super) const WORD_WITH_PLACEHOLDERS: &str = "^[A-Za-z0-9{]([A-Za-z0-9._+~/{}-]*[A-Za-z0-9}])?$";

pub(super) const APT: &str = "^[a-z0-9][a-z0-9+.-]*[a-z0-9+.]$";
pub(super) const RPM: &str =
    "^(@[A-Za-z0-9][A-Za-z0-9._+-]*|/[A-Za-z0-9/._+@-]+|[A-Za-z0-9_][A-Za-z0-9._+-]*)$";
pub(super) const PACMAN: &str = "^[A-Za-z0-9@_+][A-Za-z0-9@._+-]*$";
pub(super) const APK: &str = "^[a-z0-9][a-z0-9._+-]*$";
pub(super) const ZYPPER: &str = "^[A-Za-z0-9_][A-Za-z0-9._+-]*$";
pub(super) const BREW: &str =
    "^[a-z0-9][a-z0-9@._+-]*(/[a-z0-9][a-z0-9@._+-]*/[a-z0-9][a-z0-9@._+-]*)?$";

pub(super) const UNLESS: (Presence, Key) = (
    Optional,
    Key(
        "unless_command",
        Holds::Text(COMMAND),
        "Skip the step where this command is on PATH.",
    ),
);
pub(super) const FALLBACK: (Presence, Key) = (
    Optional,
    Key(
        "fallback",
        Holds::Text(TEXT),
        "What to tell people when the step fails.",
    ),
);

/// The keys of an action that installs packages named by a pattern.
macro_rules! install {
    ($pattern:expr) => {
        &[
            (
                Required,
                Key("packages", Holds::Packages($pattern), "What to install."),
            ),
            (
                Optional,
                Key(
                    "recommends",
                    Holds::Flag,
                    "Also install what the packages recommend; not done without it.",
                ),
            ),
            UNLESS,
            FALLBACK,
        ]
    };
}

/// The keys of an action of Homebrew.
macro_rules! brew {
    () => {
        &[
            (
                Required,
                Key("packages", Holds::Packages(BREW), "What to install."),
            ),
            (
                Optional,
                Key(
                    "tap",
                    Holds::Text(OWNER_AND_NAME),
                    "The tap they come from, `owner/name`.",
                ),
            ),
            UNLESS,
            FALLBACK,
        ]
    };
}

pub(super) const KEY_URL: (Presence, Key) = (
    Required,
    Key(
        "key_url",
        Holds::Text(URL),
        "Where the key that signs the repository is.",
    ),
);
pub(super) const KEY_SHA256: (Presence, Key) = (
    Required,
    Key(
        "key_sha256",
        Holds::Text(SHA256),
        "The sha256 of the key's bytes: no other key is ever used.",
    ),
);
pub(super) const KEY_FINGERPRINTS: (Presence, Key) = (
    Optional,
    Key(
        "key_fingerprints",
        Holds::List(FINGERPRINT),
        "Fingerprints the key must have.",
    ),
);
pub(super) const REPOSITORY_NAME: (Presence, Key) = (
    Optional,
    Key(
        "name",
        Holds::Text(REPOSITORY),
        "The repository's name, also the stem of its file.",
    ),
);
pub(super) const SERVICE_KEY: &[(Presence, Key)] = &[(
    Required,
    Key(
        "service",
        Holds::Text(SERVICE),
        "The unit, with its suffix or without.",
    ),
)];
pub(super) const COMMAND_KEYS: &[(Presence, Key)] = &[
    (
        Required,
        Key(
            "command",
            Holds::Text(COMMAND),
            "A bare name, looked up on PATH.",
        ),
    ),
    (
        Optional,
        Key(
            "min_version",
            Holds::Text(VERSION),
            "The oldest version that will do.",
        ),
    ),
    (
        Optional,
        Key(
            "version_flag",
            Holds::Text(VERSION_FLAG),
            "What makes it print its version; `--version` without it.",
        ),
    ),
    (
        Optional,
        Key(
            "version_regex",
            Holds::Text(TEXT),
            "A regular expression with one group, which finds the version.",
        ),
    ),
];

/// Every action, in the order in which they are taught.
pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "apt_install",
        what: "Installs packages with apt, as root. Debian, Ubuntu and what derives from them.",
        keys: install!(APT),
    },
    Action {
        name: "dnf_install",
        what: "Installs packages with dnf, as root. Fedora, RHEL and what derives from them.",
        keys: install!(RPM),
    },
    Action {
        name: "pacman_install",
        what: "Installs packages with pacman, as root. Arch Linux and what derives from it.",
        keys: install!(PACMAN),
    },
    Action {
        name: "apk_install",
        what: "Installs packages with apk, as root. Alpine Linux.",
        keys: install!(APK),
    },
    Action {
        name: "zypper_install",
        what: "Installs packages with zypper, as root. openSUSE and SLES.",
        keys: install!(ZYPPER),
    },
    Action {
        name: "brew_install",
        what: "Installs formulae with Homebrew, as the user. macOS; planned, never run in a sandbox.",
        keys: brew!(),
    },
    Action {
        name: "brew_cask",
        what: "Installs casks with Homebrew, as the user. macOS; planned, never run in a sandbox.",
        keys: brew!(),
    },
    Action {
        name: "apt_repo",
        what: "Adds a repository and its key to apt, as root.",
        keys: &[
            (
                Required,
                Key(
                    "url",
                    Holds::Text(URL),
                    "The repository; `{distro}`, `{codename}`, `{version_id}` and `{arch}` are filled in.",
                ),
            ),
            KEY_URL,
            KEY_SHA256,
            KEY_FINGERPRINTS,
            (
                Optional,
                Key(
                    "suites",
                    Holds::List(WORD_WITH_PLACEHOLDERS),
                    "Suites; `{codename}` without it.",
                ),
            ),
            (
                Optional,
                Key(
                    "components",
                    Holds::List(WORD_WITH_PLACEHOLDERS),
                    "Components; `main` without it.",
                ),
            ),
            REPOSITORY_NAME,
        ],
    },
    Action {
        name: "apt_ppa",
        what: "Adds a personal package archive of Launchpad to apt, as root. Ubuntu.",
        keys: &[
            (
                Required,
                Key(
                    "ppa",
                    Holds::Text(OWNER_AND_NAME),
                    "The archive, `owner/name`.",
                ),
            ),
            (
                Required,
                Key(
                    "key_fingerprint",
                    Holds::Text(FINGERPRINT_4),
                    "The fingerprint of the key that signs it.",
                ),
            ),
        ],
    },
    Action {
        name: "dnf_repo",
        what: "Adds a repository and its key to dnf, as root.",
        keys: &[
            (
                Required,
                Key(
                    "url",
                    Holds::BaseUrl,
                    "The base URL, not that of a `.repo` file.",
                ),
            ),
            KEY_URL,
            KEY_SHA256,
            KEY_FINGERPRINTS,
            (
                Optional,
                Key(
                    "repo_gpgcheck",
                    Holds::Flag,
                    "Also check the signature of the repository's own data.",
                ),
            ),
            REPOSITORY_NAME,
        ],
    },
    Action {
        name: "group_add",
        what: "Adds a user to a group, as root.",
        keys: &[
            (Required, Key("group", Holds::Text(USER), "The group.")),
            (
                Optional,
                Key("user", Holds::Text(USER), "The user; `dev` without it."),
            ),
            (
                Optional,
                Key(
                    "create",
                    Holds::Flag,
                    "Make the group where there is none; without it that is a failure.",
                ),
            ),
        ],
    },
    Action {
        name: "service_enable",
        what: "Enables a unit of systemd, as root.",
        keys: SERVICE_KEY,
    },
    Action {
        name: "service_start",
        what: "Starts a unit of systemd, as root.",
        keys: SERVICE_KEY,
    },
    Action {
        name: "require_command",
        what: "Checks that a command is there, as the user.",
        keys: COMMAND_KEYS,
    },
    Action {
        name: "download",
        what: "Fetches a file, checks its sha256 and puts it in its place.",
        keys: &[
            (Required, Key("url", Holds::Text(URL), "Where it is.")),
            (
                Required,
                Key("sha256", Holds::Text(SHA256), "The sha256 of its bytes."),
            ),
            (
                Required,
                Key("dest", Holds::Text(PLACE), "Its place: absolute, or `~/…`."),
            ),
        ],
    },
    Action {
        name: "extract",
        what: "Unpacks an archive; refuses what would leave its folder.",
        keys: &[
            (Required, Key("archive", Holds::Text(PLACE), "The archive.")),
            (
                Required,
                Key(
                    "dest",
                    Holds::Text(PLACE),
                    "The folder: absolute, or `~/…`.",
                ),
            ),
            (
                Optional,
                Key(
                    "strip_components",
                    Holds::Number(100),
                    "How many leading folders of each name are dropped.",
                ),
            ),
        ],
    },
    Action {
        name: "install_binaries",
        what: "Installs programs from an unpacked folder.",
        keys: &[
            (
                Required,
                Key("from", Holds::Text(PLACE), "The folder they are in."),
            ),
            (
                Required,
                Key(
                    "binaries",
                    Holds::List(RELATIVE),
                    "The files, relative to it, such as `bin/jq`.",
                ),
            ),
            (
                Optional,
                Key(
                    "dest",
                    Holds::Text(PLACE),
                    "The folder they go to; `/usr/local/bin` without it.",
                ),
            ),
            (
                Optional,
                Key(
                    "mode",
                    Holds::Text(MODE),
                    "Their mode in octal; `0755` without it.",
                ),
            ),
        ],
    },
    Action {
        name: "manual",
        what: "Tells people what to do by hand. Never run; verifications after it are not judged.",
        keys: &[(Required, Key("text", Holds::Text(TEXT), "What to do."))],
    },
];
