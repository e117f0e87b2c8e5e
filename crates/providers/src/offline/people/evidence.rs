//! Weighs what speaks for a run of words being a person's name, and reads the role beside it.

use super::lexicon;
use super::runs::Run;

/// Weight from which a name is taken for a person's.
pub(super) const ENOUGH: u32 = 2;

/// Most words of a role.
const LONGEST_ROLE: usize = 8;

/// Weighs one run where it stands; `label` is the label of its line or column.
pub(super) fn weigh(run: &Run<'_>, label: Option<&str>) -> u32 {
    let given = run.words.first().is_some_and(|first| lexicon::is_given_name(first));
    let previous =
        run.before.rsplit(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default();
    let gap = run.before.get(run.before.rfind(previous).unwrap_or(0) + previous.len()..).unwrap_or_default();
    let related = gap == " " && (lexicon::is_relation(previous) || lexicon::is_role(previous));
    let apposed = gap == ", " && lexicon::is_role(previous);
    let listed = gap.starts_with(':') && lexicon::is_person_label(previous);
    let by = gap == " " && ["by", "By", "von"].contains(&previous);
    let next = run.after.strip_prefix(' ').and_then(|after| after.split(' ').next()).unwrap_or_default();
    let labelled = label.is_some_and(|label| label.split_whitespace().any(lexicon::is_person_label));
    [
        (run.title.is_some(), 3),
        (given, 2),
        (related || apposed || listed, 2),
        (labelled, 2),
        (role(run).is_some(), 2),
        (by, 1),
        (lexicon::is_verb(next), 1),
    ]
    .into_iter()
    .map(|(holds, weight)| if holds { weight } else { 0 })
    .sum()
}

/// Tells whether the words of a run cannot be a person's name.
pub(super) fn is_impossible(run: &Run<'_>) -> bool {
    let words = &run.words;
    let article =
        ["the", "The", "a", "an", "der", "die", "das", "dem", "den", "des", "im", "am", "zum", "zur"];
    let previous =
        run.before.strip_suffix(' ').and_then(|before| before.rsplit(' ').next()).unwrap_or_default();
    let given = words.first().is_some_and(|first| lexicon::is_given_name(first));
    let joined = run.after.starts_with(" & ") || run.before.ends_with("& ");
    words.len() > 5
        || words.iter().any(|word| lexicon::is_no_name(word) || lexicon::is_organisation(word))
        || (run.title.is_none() && !given && article.contains(&previous))
        || joined
}

/// Reads a role behind a name: `(chair)`, `, Head of Logistics`, `, the City Clerk,`.
pub(super) fn role(run: &Run<'_>) -> Option<String> {
    let inside = run.after.strip_prefix(" (").and_then(|rest| rest.split_once(')')).map(|(inside, _)| inside);
    let apposed = || {
        let rest = run.after.strip_prefix(", ")?;
        Some(rest.split([',', '.', ';', ':', '(', ')', '\n']).next().unwrap_or_default())
    };
    as_role(inside.or_else(apposed)?)
}

/// Gives a text that is a role, without its article.
pub(super) fn as_role(text: &str) -> Option<String> {
    let text = text.trim();
    let text = ["the ", "The ", "our ", "a ", "an "]
        .iter()
        .find_map(|article| text.strip_prefix(article))
        .unwrap_or(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let verb = words.iter().any(|word| lexicon::is_verb(word));
    // A role names its kind in its first words: `Head of Logistics`, `City Clerk`, not `who met the clerk`.
    let named = words.iter().take(3).any(|word| lexicon::is_role(word));
    let small = words.first().is_some_and(|word| crate::offline::words::is_stop_word(word));
    (named && !verb && !small && words.len() <= LONGEST_ROLE).then(|| text.to_owned())
}
