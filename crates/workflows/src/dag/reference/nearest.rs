//! The known name that an unknown one was probably meant to be.

/// How many known names are compared at most, so that a large workflow full of mistakes is still checked at once.
const MAX_COMPARED: usize = 20_000;

/// How many names a hint lists.
const MAX_LISTED: usize = 12;

/// The shortest name that counts as a part of a longer one.
const SHORTEST_PART: usize = 4;

/// Gives the known name that is only a few letters away or holds the other one, if there is one; of equally near ones the
/// first.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let allowed = (length / 3).min(3);
    let near = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let shorter = candidate.len().min(wanted.len());
        if shorter >= SHORTEST_PART && (candidate.contains(&wanted) || wanted.contains(&candidate)) {
            return Some(allowed);
        }
        if candidate.chars().count().abs_diff(length) > allowed {
            return None;
        }
        Some(strsim::osa_distance(&wanted, &candidate)).filter(|distance| *distance <= allowed)
    };
    let known = known.into_iter().take(MAX_COMPARED);
    let ranked = known.filter_map(|candidate| Some((near(candidate)?, candidate)));
    ranked.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Lists names for a hint, shortened when there are many.
pub(crate) fn list_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let listed: Vec<String> = names.by_ref().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
    let rest = names.count();
    let listed = listed.join(", ");
    if rest == 0 { listed } else { format!("{listed}, and {rest} more") }
}
