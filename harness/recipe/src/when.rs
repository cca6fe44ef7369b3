//! `when`: where a step, requirement or check applies. Keys AND, lists OR; an empty list of this
//! model is a key that is not stated. What holds on a target is decided in `plan`; what can hold
//! nowhere is found here.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use assay_packages::DistroVersionRange;
use assay_wire::source::Span;

use crate::action::{Grammar, Scope};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Spanned, nearest, quote};
use crate::name::{DistroId, Role, outside};
use crate::table::{Reader, Table, Value};
use crate::text::{TextFault, strict};

/// A condition on a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    /// The operating system is one of these.
    pub os: Vec<Spanned<Os>>,
    /// The architecture is one of these.
    pub arch: Vec<Spanned<Arch>>,
    /// Operating system and architecture are one of these; never beside `os` or `arch`.
    pub platform: Vec<Spanned<Platform>>,
    /// The effective distribution is one of these, with its version inside the constraint.
    pub distro: Vec<Spanned<DistroConstraint>>,
    /// Any id of the target's chain (`ID`, then `ID_LIKE`) is one of these.
    pub distro_like: Vec<Spanned<DistroId>>,
    /// The family is one of these.
    pub linux_family: Vec<Spanned<Family>>,
    /// The C library is one of these.
    pub libc: Vec<Spanned<Libc>>,
    /// The machine has one of these roles.
    pub role: Vec<Spanned<Role>>,
}

impl When {
    /// True if another condition holds wherever this one does, because it is written alike.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(a: &[Spanned<T>], b: &[Spanned<T>]) -> bool {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value == b.value)
        }
        same(&self.os, &other.os)
            && same(&self.arch, &other.arch)
            && same(&self.platform, &other.platform)
            && same(&self.distro, &other.distro)
            && same(&self.distro_like, &other.distro_like)
            && same(&self.linux_family, &other.linux_family)
            && same(&self.libc, &other.libc)
            && same(&self.role, &other.role)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $kind:literal, { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[$vdoc])* $variant),+
        }

        impl $type {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $type {
            type Err = TextFault;

            fn from_str(text: &str) -> Result<Self, TextFault> {
                word($kind, text, Self::ALL, Self::as_str)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words!(
    /// An operating system.
    Os, "operating system", {
        /// Linux.
        Linux = "linux",
        /// macOS; planned, never run.
        Darwin = "darwin",
    }
);
words!(
    /// An architecture, in the spelling of container images (GOARCH).
    Arch, "architecture", {
        /// x86-64.
        Amd64 = "amd64",
        /// AArch64.
        Arm64 = "arm64",
        /// 32-bit ARM.
        Arm = "arm",
        /// 32-bit x86.
        I386 = "386",
        /// POWER, little endian.
        Ppc64le = "ppc64le",
        /// 64-bit RISC-V.
        Riscv64 = "riscv64",
        /// IBM Z.
        S390x = "s390x",
    }
);
words!(
    /// A family of distributions that share a package manager.
    Family, "Linux family", {
        /// dpkg and apt.
        Debian = "debian",
        /// rpm and dnf.
        Rhel = "rhel",
        /// pacman.
        Arch = "arch",
        /// apk.
        Alpine = "alpine",
        /// rpm and zypper.
        Suse = "suse",
    }
);
words!(
    /// A C library.
    Libc, "C library", {
        /// The GNU C library.
        Glibc = "glibc",
        /// musl.
        Musl = "musl",
    }
);

/// Reads one of these words.
pub(crate) fn word<T: Copy>(
    kind: &str,
    text: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<T, TextFault> {
    strict(kind, text)?;
    all.iter()
        .copied()
        .find(|word| as_str(*word) == text)
        .ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|word| as_str(*word)).collect();
            unknown_word(kind, text, &known)
        })
}

/// The fault of a word that is not among the known ones.
fn unknown_word(kind: &str, text: &str, known: &[&str]) -> TextFault {
    let aliases = [
        ("x86_64", "amd64"),
        ("x64", "amd64"),
        ("aarch64", "arm64"),
        ("macos", "darwin"),
        ("redhat", "rhel"),
        ("fedora", "rhel"),
        ("ubuntu", "debian"),
        ("i386", "386"),
    ];
    let alias = aliases
        .iter()
        .find(|(word, meant)| text.eq_ignore_ascii_case(word) && known.contains(meant));
    let near = alias
        .map(|(_, meant)| *meant)
        .or_else(|| nearest(text, known.iter().copied()));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the words are {}", crate::table::words(known)),
    };
    TextFault::new(Code::UnknownWord, format!("unknown {kind} {}", quote(text))).help(help)
}

/// An operating system and an architecture, written `linux/amd64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The operating system.
    pub os: Os,
    /// The architecture.
    pub arch: Arch,
}

impl FromStr for Platform {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        strict("platform", text)?;
        let Some((os, arch)) = text.split_once('/') else {
            return Err(TextFault::new(
                Code::UnknownWord,
                format!("unknown platform {}", quote(text)),
            )
            .help("write `os/arch`, such as `linux/amd64`"));
        };
        let at = |range: Range<usize>| move |fault: TextFault| fault.at(range);
        Ok(Self {
            os: os.parse().map_err(at(0..os.len()))?,
            arch: arch.parse().map_err(at(os.len() + 1..text.len()))?,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)
    }
}

/// A distribution with an optional constraint on its version: `ubuntu>=22.04`, `fedora>=41,<43`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DistroConstraint {
    /// The distribution's id.
    pub id: DistroId,
    /// Its version; every version when nothing is written.
    pub range: DistroVersionRange,
}

impl FromStr for DistroConstraint {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        strict("distribution", text)?;
        let at = text.find(['=', '<', '>']).unwrap_or(text.len());
        let id = text[..at].trim_end_matches(' ').parse()?;
        let range: DistroVersionRange = text[at..].parse().map_err(|error| {
            TextFault::new(Code::InvalidDistro, format!("the version constraint of {} is wrong: {error}", quote(text)))
                .at(at..text.len())
                .help("write the id and constraints over dotted numbers: `ubuntu>=22.04`, `fedora>=41,<43`")
        })?;
        if !range.is_satisfiable() {
            let message = format!("no version satisfies {}", quote(&text[at..]));
            return Err(TextFault::new(Code::EmptyVersionRange, message).at(at..text.len()));
        }
        Ok(Self { id, range })
    }
}

impl fmt::Display for DistroConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, self.range)
    }
}

/// Distributions whose family is certain, from their own os-release files.
const FAMILIES: &[(&str, Family)] = &[
    ("debian", Family::Debian),
    ("ubuntu", Family::Debian),
    ("linuxmint", Family::Debian),
    ("pop", Family::Debian),
    ("raspbian", Family::Debian),
    ("kali", Family::Debian),
    ("elementary", Family::Debian),
    ("zorin", Family::Debian),
    ("neon", Family::Debian),
    ("devuan", Family::Debian),
    ("fedora", Family::Rhel),
    ("rhel", Family::Rhel),
    ("centos", Family::Rhel),
    ("rocky", Family::Rhel),
    ("almalinux", Family::Rhel),
    ("ol", Family::Rhel),
    ("amzn", Family::Rhel),
    ("arch", Family::Arch),
    ("archarm", Family::Arch),
    ("manjaro", Family::Arch),
    ("endeavouros", Family::Arch),
    ("cachyos", Family::Arch),
    ("artix", Family::Arch),
    ("alpine", Family::Alpine),
    ("opensuse-leap", Family::Suse),
    ("opensuse-tumbleweed", Family::Suse),
    ("opensuse", Family::Suse),
    ("suse", Family::Suse),
    ("sles", Family::Suse),
];

/// The family of a distribution, where it is certain.
#[must_use]
pub fn family_of(id: &DistroId) -> Option<Family> {
    FAMILIES
        .iter()
        .find(|(known, _)| *known == id.as_str())
        .map(|(_, family)| *family)
}

const KEYS: &[&str] = &[
    "os",
    "arch",
    "platform",
    "distro",
    "distro_like",
    "linux_family",
    "libc",
    "role",
];

/// Reads `when`. `action` says where the step's action can apply at all.
pub(crate) fn read_when(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    action: Option<&Grammar>,
) -> Option<Spanned<When>> {
    let Some(table) = value.as_table("`when`") else {
        reader.wrong_type("when", value, "a table");
        return None;
    };
    if table.is_empty() {
        let message = "`when` is empty";
        reader.faults.report(
            Diagnostic::new(Code::EmptyValue, table.span, message)
                .help("state a condition, or leave the key out"),
        );
        return None;
    }
    reader.check_keys(&table, KEYS, &[]);
    let when = When {
        os: reader.list(&table, "os", str::parse).unwrap_or_default(),
        arch: reader.list(&table, "arch", str::parse).unwrap_or_default(),
        platform: reader
            .list(&table, "platform", str::parse)
            .unwrap_or_default(),
        distro: reader
            .list(&table, "distro", str::parse)
            .unwrap_or_default(),
        distro_like: reader.list(&table, "distro_like", like).unwrap_or_default(),
        linux_family: reader
            .list(&table, "linux_family", str::parse)
            .unwrap_or_default(),
        libc: reader.list(&table, "libc", str::parse).unwrap_or_default(),
        role: reader.list(&table, "role", str::parse).unwrap_or_default(),
    };
    platform_alone(reader, &table);
    mistyped_distros(reader, &when);
    contradictions(reader, &table, &when, action);
    Some(Spanned::new(when, table.span))
}

/// `distro_like` takes ids alone: a chain has no one version to compare with.
fn like(text: &str) -> Result<DistroId, TextFault> {
    strict("distribution", text)?;
    match text.find(['=', '<', '>']) {
        Some(at) => Err(outside(
            Code::InvalidDistro,
            "distribution",
            "an id; version constraints belong into `distro`",
            text,
            at,
        )),
        None => text.parse(),
    }
}

fn platform_alone(reader: &mut Reader<'_>, table: &Table<'_>) {
    let Some(platform) = table.key_span("platform") else {
        return;
    };
    for key in ["os", "arch"] {
        if let Some(other) = table.key_span(key) {
            let message = format!("`platform` and `{key}` stand in one `when`");
            let diagnostic = Diagnostic::new(Code::PlatformWithOs, platform, message)
                .labelled("says both")
                .and(other, "says it again");
            reader
                .faults
                .report(diagnostic.help("keep `platform`, or `os` and `arch`"));
        }
    }
}

fn mistyped_distros(reader: &mut Reader<'_>, when: &When) {
    let named = when
        .distro
        .iter()
        .map(|distro| (&distro.value.id, distro.span));
    for (id, span) in named.chain(
        when.distro_like
            .iter()
            .map(|distro| (&distro.value, distro.span)),
    ) {
        if family_of(id).is_some() {
            continue;
        }
        if let Some(near) = nearest(id.as_str(), FAMILIES.iter().map(|(known, _)| *known)) {
            let message = format!("{} is no distribution known here", quote(id.as_str()));
            reader.faults.report(
                Diagnostic::new(Code::UnknownDistro, span, message)
                    .help(format!("did you mean `{near}`?")),
            );
        }
    }
}

/// Finds keys that exclude each other, each other's words, or the action's family.
fn contradictions(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    when: &When,
    action: Option<&Grammar>,
) {
    let linux_only: Vec<&str> = KEYS[3..7]
        .iter()
        .copied()
        .filter(|key| table.has(key))
        .collect();
    let scope = action.map_or(Scope::Anywhere, |action| action.scope);
    let wanted = match (action, scope) {
        (Some(action), Scope::Darwin) => Some((Os::Darwin, format!("`{}`", action.name))),
        (Some(action), Scope::Linux | Scope::Systemd | Scope::Family(_) | Scope::Ubuntu) => {
            Some((Os::Linux, format!("`{}`", action.name)))
        }
        (_, _) => linux_only
            .first()
            .map(|key| (Os::Linux, format!("`{key}`"))),
    };
    if let Some((wanted, needs)) = wanted {
        let os = when.os.iter().map(|os| (os.value, os.span));
        let stated = os.chain(
            when.platform
                .iter()
                .map(|platform| (platform.value.os, platform.span)),
        );
        exclude(
            reader,
            stated
                .map(|(os, span)| (os == wanted, os.to_string(), span))
                .collect(),
            &format!("{needs} is about {wanted}"),
        );
    }
    // The families possible so far: those of the action, then those stated, then those named.
    let mut possible: BTreeSet<Family> = scope.families().collect();
    let mut why = String::from("no family is left");
    if let Some(action) = action {
        why = format!("`{}` is for {}", action.name, scope.in_words());
    }
    let stated = when.linux_family.iter().map(|family| {
        (
            possible.contains(&family.value),
            family.value.to_string(),
            family.span,
        )
    });
    if !exclude(reader, stated.collect(), &why) {
        return;
    }
    if !when.linux_family.is_empty() {
        possible = when
            .linux_family
            .iter()
            .map(|family| family.value)
            .filter(|family| possible.contains(family))
            .collect();
        if scope == Scope::Anywhere {
            let families: Vec<_> = possible.iter().map(|family| family.as_str()).collect();
            why = format!("`linux_family` says {}", families.join(" or "));
        }
    }
    let fits = |id: &DistroId| family_of(id).is_none_or(|family| possible.contains(&family));
    let distro = when
        .distro
        .iter()
        .map(|distro| {
            (
                fits(&distro.value.id),
                distro.value.id.to_string(),
                distro.span,
            )
        })
        .collect();
    let distro_like = when
        .distro_like
        .iter()
        .map(|distro| (fits(&distro.value), distro.value.to_string(), distro.span))
        .collect();
    exclude(reader, distro, &why);
    exclude(reader, distro_like, &why);
}

/// Reports words of one key that cannot hold: an error when none can, else a warning for each.
/// True when some can, or none are stated.
fn exclude(reader: &mut Reader<'_>, words: Vec<(bool, String, Span)>, why: &str) -> bool {
    let all = words.iter().all(|(fits, _, _)| !fits) && !words.is_empty();
    let (code, what) = if all {
        (Code::WhenContradiction, "this `when` holds nowhere")
    } else {
        (Code::WhenUnreachable, "this part of `when` holds nowhere")
    };
    for (_, word, span) in words.iter().filter(|(fits, _, _)| !fits) {
        let message = format!("{what}: {} is excluded, because {why}", quote(word));
        reader.faults.report(
            Diagnostic::new(code, *span, message).help("remove it, or give it a step of its own"),
        );
        if all {
            break;
        }
    }
    !all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_printed_as_they_are_read() {
        for text in ["linux/amd64", "darwin/arm64"] {
            let platform: Platform = text.parse().expect("a platform");
            assert_eq!(platform.to_string(), text);
        }
        for text in ["arch", "ubuntu>=22.04", "fedora>=41,<43"] {
            let constraint: DistroConstraint = text.parse().expect("a constraint");
            assert_eq!(constraint.to_string(), text);
        }
    }

    #[test]
    fn a_fault_of_a_platform_is_where_it_stands() {
        for (text, wrong) in [("linux/amd46", "amd46"), ("linx/amd64", "linx")] {
            let fault = text.parse::<Platform>().expect_err("an unknown word");
            let covered = fault.range.and_then(|range| text.get(range));
            assert_eq!(covered, Some(wrong), "{text}");
        }
    }
}
