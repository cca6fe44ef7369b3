//! `group_add`: a user joins a group. shadow's tools write `/etc/group` and its backup anew even when
//! nothing changes, so each op has a guard.

use assay_recipe::model::GroupAdd;
use assay_wire::plan::{Evidence, Guard, SkipIf};
use assay_wire::privileged::Kind;

/// One command with the question that makes it needless.
pub(crate) struct Guarded {
    /// The words.
    pub(crate) argv: Vec<String>,
    /// The question.
    pub(crate) guard: Guard,
    /// What it does.
    pub(crate) kind: Kind,
}

/// The question that shows that the user is a member, id(1), and what its answer must show.
pub(crate) fn evidence(step: &GroupAdd) -> (Vec<String>, Evidence) {
    let (group, user) = (step.group.value.as_str(), step.user.value.as_str());
    let argv = ["id", "-nG", user].map(str::to_owned).to_vec();
    let evidence = Evidence {
        fact: format!("`{user}` is in the group `{group}`"),
        regex: format!("(^| ){group}( |$)"),
    };
    (argv, evidence)
}

/// The commands of a step, in order. Without `create` a missing group is a failure in which
/// usermod(8) names it.
pub(crate) fn commands(step: &GroupAdd) -> Vec<Guarded> {
    let (group, user) = (step.group.value.as_str(), step.user.value.as_str());
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let holds = |argv| Guard::Asks {
        argv,
        skip_if: SkipIf::ExitCode(0),
    };
    let mut commands = Vec::new();
    if step.create {
        commands.push(Guarded {
            argv: words(&["groupadd", group]),
            guard: holds(words(&["getent", "group", group])),
            kind: Kind::GroupAdd {
                name: group.to_owned(),
            },
        });
    }
    // Both names are of letters, digits, `_` and `-`, none of which an expression reads as anything else.
    let member = format!("^{group}:[^:]*:[0-9]*:([^:]*,)?{user}(,[^:]*)?$");
    commands.push(Guarded {
        argv: words(&["usermod", "-aG", group, user]),
        guard: holds(words(&["grep", "-qE", &member, "/etc/group"])),
        kind: Kind::GroupMember {
            user: user.to_owned(),
            group: group.to_owned(),
        },
    });
    commands
}
