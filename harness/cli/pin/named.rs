//! Which URLs the steps of a recipe mean: once where they are written out, else once for each target
//! on which the step applies and its placeholders are filled.

use std::collections::BTreeMap;

use assay_plan::{Target, plan};
use assay_recipe::Recipe;
use assay_recipe::pins::{Pin, PinKind};
use assay_wire::name::TargetId;

/// The URLs of one step, each with the targets it is for; none where it is the same for all.
pub(super) type Urls = BTreeMap<String, Vec<TargetId>>;

/// The URLs of every step that has some, by the step's name.
pub(super) fn urls(recipe: &Recipe, pins: &[Pin], targets: &[Target]) -> BTreeMap<String, Urls> {
    // What it depends on names its own URLs.
    let mut alone = recipe.clone();
    alone.metadata.depends_on.clear();
    let mut found: BTreeMap<String, Urls> = BTreeMap::new();
    for pin in pins {
        match pin.kind {
            PinKind::Ppa => {}
            PinKind::Key | PinKind::File => {
                let urls = found.entry(pin.step.clone()).or_default();
                if !pin.origin.value.contains('{') {
                    urls.insert(pin.origin.value.clone(), Vec::new());
                }
            }
        }
    }
    for target in targets {
        // A recipe that cannot be planned for a target means nothing there; `check` says why.
        let Ok(plan) = plan(&[&alone], target) else {
            continue;
        };
        for content in plan.content {
            let filled = pins.iter().any(|pin| {
                pin.step == content.step.step.as_str() && pin.origin.value.contains('{')
            });
            if let (Some(urls), true) = (found.get_mut(content.step.step.as_str()), filled) {
                let on = urls.entry(content.url).or_default();
                on.push(target.id.clone());
            }
        }
    }
    found
}
