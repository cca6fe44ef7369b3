//! Questions for what must be there: `[[requires]]`, `require_command`, and the range a package was
//! asked for. Here are the words and how the answer is read; `observe` judges it.

use assay_packages::{Operator, VersionRange};
use assay_recipe::model::CommandMinimum;
use assay_recipe::name::{CommandName, VersionFlag};
use assay_recipe::package::Manager;
use assay_wire::plan::{Presence, Subject, VersionProbe, VersionRules};

use crate::manager::{package_query, version_rules};

/// The first dotted number, where the author states no expression of his own.
const DOTTED_NUMBER: &str = r"(\d+(?:\.\d+)+)";

/// A question: what is run, and what the answer must be.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The words.
    pub(crate) argv: Vec<String>,
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
        presence: Presence {
            subject: Subject::Package(name.to_owned()),
            version: Some(probe),
        },
    }
}
