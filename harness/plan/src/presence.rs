//! Questions for what must be there: `[[requires]]`, `require_command`, and the range a package was
//! asked for. Here are the words and how the answer is read; `observe` judges it.

use assay_packages::{Operator, VersionRange};
use assay_recipe::model::CommandMinimum;
use assay_recipe::name::{CommandName, UserName, VersionFlag};
use assay_recipe::package::Manager;
use assay_recipe::system::{LibraryName, Place};
use assay_recipe::when::Arch;
use assay_wire::plan::{Presence, Privilege, Subject, VersionProbe, VersionRules};

use crate::manager::{package_query, version_rules, words};
use crate::target::Target;

/// The first dotted number, where the author states no expression of his own.
const DOTTED_NUMBER: &str = r"(\d+(?:\.\d+)+)";

/// A question: what is run, and what the answer must be.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The words.
    pub(crate) argv: Vec<String>,
    /// Who asks.
    pub(crate) privilege: Privilege,
    /// What must come of it.
    pub(crate) presence: Presence,
}

/// A command on the PATH, perhaps in a version. It is started with its version flag either way: a
/// command that cannot be started is not there, whatever file has its name.
pub(crate) fn command(command: &CommandName, minimum: Option<&CommandMinimum>) -> Question {
    let default_flag = VersionFlag::default();
    let flag = minimum.map_or(&default_flag, |minimum| &minimum.flag.value);
    let version = minimum.map(|minimum| VersionProbe {
        regex: minimum
            .pattern
            .as_ref()
            .map_or(DOTTED_NUMBER, |pattern| pattern.value.as_str())
            .to_owned(),
        minimum: Some(minimum.version.value.to_string()),
        range: None,
        rules: VersionRules::Dotted,
    });
    Question {
        argv: vec![command.to_string(), flag.as_str().to_owned()],
        privilege: Privilege::User,
        presence: Presence {
            subject: Subject::Command(command.to_string()),
            version,
        },
    }
}

/// An installed package, perhaps in a version that is not older.
pub(crate) fn package(manager: Manager, name: &str, minimum: Option<String>) -> Question {
    question_for(manager, name, minimum, None)
}

/// A shared library, asked of the dynamic linker's cache, ldconfig(8); on Alpine, whose linker keeps
/// none, of apk. `None` where neither is there.
pub(crate) fn library(target: &Target, name: &LibraryName) -> Option<Question> {
    let (argv, regex) = match target.manager()? {
        Manager::Brew => return None,
        Manager::Apk => (
            vec![
                "apk".into(),
                "info".into(),
                "-e".into(),
                format!("so:{name}"),
            ],
            "^(.+)$".to_owned(),
        ),
        Manager::Apt | Manager::Dnf | Manager::Pacman | Manager::Zypper => {
            // Libraries of other architectures stand in the same cache.
            let flags = match target.arch {
                Arch::Amd64 => "libc6,x86-64",
                Arch::Arm64 => "libc6,AArch64",
                Arch::Arm | Arch::I386 | Arch::Ppc64le | Arch::Riscv64 | Arch::S390x => "libc6",
            };
            let name = name.as_str().replace('.', r"\.").replace('+', r"\+");
            (
                words(&["ldconfig", "-p"]),
                format!(r"^\s*({name}) \({flags}[,)]"),
            )
        }
    };
    let probe = VersionProbe {
        regex,
        minimum: None,
        range: None,
        rules: VersionRules::Dotted,
    };
    Some(Question {
        argv,
        privilege: Privilege::User,
        presence: Presence {
            subject: Subject::Library(name.to_string()),
            version: Some(probe),
        },
    })
}

/// A file or folder. Root asks: not everyone may look into every folder.
pub(crate) fn file(place: &Place) -> Question {
    let path = place.path().to_string();
    Question {
        argv: words(&["test", "-e", &path]),
        privilege: Privilege::Root,
        presence: Presence {
            subject: Subject::File(path),
            version: None,
        },
    }
}

/// A user of whatever database the machine has.
pub(crate) fn user(name: &UserName) -> Question {
    Question {
        argv: words(&["id", "-u", name.as_str()]),
        privilege: Privilege::User,
        presence: Presence {
            subject: Subject::User(name.to_string()),
            version: None,
        },
    }
}

/// A package that was installed and must now be inside the range it was asked for.
pub(crate) fn installed_range(manager: Manager, name: &str, range: &VersionRange) -> Question {
    let lower = range
        .constraints()
        .iter()
        .find(|constraint| constraint.operator() == Operator::AtLeast);
    question_for(
        manager,
        name,
        lower.map(|bound| bound.version().to_owned()),
        Some(range.to_string()),
    )
}

fn question_for(
    manager: Manager,
    name: &str,
    minimum: Option<String>,
    range: Option<String>,
) -> Question {
    let query = package_query(manager, name);
    let probe = VersionProbe {
        regex: query.regex.to_owned(),
        minimum,
        range,
        rules: version_rules(manager),
    };
    Question {
        argv: query.argv,
        privilege: Privilege::User,
        presence: Presence {
            subject: Subject::Package(name.to_owned()),
            version: Some(probe),
        },
    }
}
