//! Package requests: collected from the steps of a set, deduplicated in order, merged by name. Which
//! steps come together is [`crate::order`]'s, how an op is made of requests [`crate::manager`]'s.

use assay_packages::{Rules, VersionRange, VersionRequest};
use assay_wire::name::StepRef;

/// One package and what is asked of its version, by one step or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The package's name.
    pub(crate) name: String,
    /// What is asked of its version.
    pub(crate) version: VersionRequest,
    /// The steps that ask, in order.
    pub(crate) steps: Vec<StepRef>,
}

/// Two requests of one package that no version meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contradiction {
    /// The package.
    pub(crate) package: String,
    /// What the one step asks.
    pub(crate) first: (StepRef, VersionRange),
    /// What the other asks.
    pub(crate) second: (StepRef, VersionRange),
}

impl Request {
    /// True when what is installed is good enough, whatever its version.
    pub(crate) fn is_any(&self) -> bool {
        self.version == VersionRequest::Any
    }

    /// The one version that is asked for, if it is one.
    pub(crate) fn exact(&self) -> Option<&str> {
        match &self.version {
            VersionRequest::Any | VersionRequest::Auto => None,
            VersionRequest::Range(range) => range.exact(),
        }
    }

    /// The range that has to be verified after the install, because the manager is only asked for
    /// its candidate.
    pub(crate) fn verified_range(&self) -> Option<&VersionRange> {
        match &self.version {
            VersionRequest::Any | VersionRequest::Auto => None,
            VersionRequest::Range(range) => range.exact().is_none().then_some(range),
        }
    }
}

/// Merges requests by name, in the order in which names are first asked for. A range is stricter
/// than `auto`, which is stricter than `any`; two ranges become their intersection.
pub(crate) fn merge(requests: impl IntoIterator<Item = Request>) -> Vec<Request> {
    let mut merged: Vec<Request> = Vec::new();
    for request in requests {
        match merged.iter_mut().find(|known| known.name == request.name) {
            None => merged.push(request),
            Some(known) => {
                known.version = stricter(&known.version, &request.version);
                for step in request.steps {
                    if !known.steps.contains(&step) {
                        known.steps.push(step);
                    }
                }
            }
        }
    }
    merged
}

fn stricter(a: &VersionRequest, b: &VersionRequest) -> VersionRequest {
    match (a, b) {
        (VersionRequest::Range(a), VersionRequest::Range(b)) => {
            VersionRequest::Range(a.intersect(b))
        }
        (VersionRequest::Range(range), VersionRequest::Any | VersionRequest::Auto)
        | (VersionRequest::Any | VersionRequest::Auto, VersionRequest::Range(range)) => {
            VersionRequest::Range(range.clone())
        }
        (VersionRequest::Auto, VersionRequest::Any | VersionRequest::Auto)
        | (VersionRequest::Any, VersionRequest::Auto) => VersionRequest::Auto,
        (VersionRequest::Any, VersionRequest::Any) => VersionRequest::Any,
    }
}

/// Every package for which two steps ask for ranges that no version meets: the first such pair of
/// steps of each, in order.
pub(crate) fn contradictions(rules: Rules, requests: &[Request]) -> Vec<Contradiction> {
    let mut found: Vec<Contradiction> = Vec::new();
    for (at, second) in requests.iter().enumerate() {
        if found.iter().any(|known| known.package == second.name) {
            continue;
        }
        let earlier = requests[..at]
            .iter()
            .filter(|first| first.name == second.name);
        let pair = earlier.filter_map(|first| match (&first.version, &second.version) {
            (VersionRequest::Range(a), VersionRequest::Range(b)) => {
                (!a.intersect(b).is_satisfiable(rules)).then_some((first, a, b))
            }
            (VersionRequest::Any | VersionRequest::Auto, _)
            | (_, VersionRequest::Any | VersionRequest::Auto) => None,
        });
        // Ranges are intervals of an ordered line: if they have no common point, two of them have none.
        if let Some((first, a, b)) = pair.into_iter().next()
            && let (Some(first), Some(second_step)) = (first.steps.first(), second.steps.first())
        {
            found.push(Contradiction {
                package: second.name.clone(),
                first: (first.clone(), a.clone()),
                second: (second_step.clone(), b.clone()),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, version: &str, step: &str) -> Request {
        let (recipe, step) = step.split_once('#').expect("a step of this test");
        let step = StepRef {
            recipe: recipe.parse().expect("a name"),
            step: step.parse().expect("an id"),
        };
        Request {
            name: name.to_owned(),
            version: version.parse().expect("a version of this test"),
            steps: vec![step],
        }
    }

    fn merged(requests: &[(&str, &str, &str)]) -> String {
        let requests = requests
            .iter()
            .map(|(name, version, step)| request(name, version, step));
        let words = merge(requests).into_iter().map(|request| {
            let steps: Vec<String> = request.steps.iter().map(StepRef::to_string).collect();
            format!("{} {} {}", request.name, request.version, steps.join("+"))
        });
        words.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn requests_are_merged_by_name_in_order_of_first_use() {
        for (requests, expected) in [
            (
                &[
                    ("jq", "any", "a#1"),
                    ("tree", "any", "a#1"),
                    ("jq", "any", "b#1"),
                ][..],
                "jq any a#1+b#1; tree any a#1",
            ),
            (
                &[("jq", "any", "a#1"), ("jq", "auto", "b#1")],
                "jq auto a#1+b#1",
            ),
            (
                &[("jq", "auto", "a#1"), ("jq", "any", "b#1")],
                "jq auto a#1+b#1",
            ),
            (
                &[("jq", "any", "a#1"), ("jq", ">=1.6", "b#1")],
                "jq >=1.6 a#1+b#1",
            ),
            (
                &[("jq", ">=1.6", "a#1"), ("jq", "auto", "b#1")],
                "jq >=1.6 a#1+b#1",
            ),
            (
                &[
                    ("jq", ">=1.6", "a#1"),
                    ("jq", "<2", "b#1"),
                    ("jq", ">=1.6", "c#1"),
                ],
                "jq >=1.6,<2 a#1+b#1+c#1",
            ),
            (&[("jq", "any", "a#1"), ("jq", "any", "a#1")], "jq any a#1"),
        ] {
            assert_eq!(merged(requests), expected);
        }
    }

    #[test]
    fn ranges_without_a_common_version_name_both_steps() {
        let requests = [
            request("jq", ">=1.6", "a#1"),
            request("jq", "any", "b#1"),
            request("jq", "<1.5", "c#2"),
            request("tree", "=2", "a#1"),
            request("tree", "=2", "c#1"),
        ];
        let found = contradictions(Rules::Dpkg, &requests);
        assert_eq!(found.len(), 1);
        let words = |(step, range): &(StepRef, VersionRange)| format!("{step} {range}");
        assert_eq!(
            (words(&found[0].first), words(&found[0].second)),
            ("a#1 >=1.6".into(), "c#2 <1.5".into())
        );
        assert_eq!(contradictions(Rules::Dpkg, &requests[..2]), []);
    }

    #[test]
    fn what_is_verified_is_what_the_manager_was_not_told() {
        assert!(request("jq", "any", "a#1").verified_range().is_none());
        assert!(request("jq", "auto", "a#1").verified_range().is_none());
        assert!(request("jq", "=1.6", "a#1").verified_range().is_none());
        assert_eq!(request("jq", "=1.6", "a#1").exact(), Some("1.6"));
        assert!(request("jq", ">=1.6,<2", "a#1").verified_range().is_some());
    }
}
