//! Answers in free text: a summary, an answer to a question, or a list of what the text holds.

use super::material::Material;
use super::task::Task;
use super::topics;
use super::wanted::{Kind, Wanted};
use super::wish::Wish;
use super::{answer, facts, summary, words};

/// What is said where a question comes without any text.
const NO_TEXT: &str =
    "No text was given to answer from; `offline:extract` only quotes the text that it is given.";

/// Verbs that ask for a list or a fact and not for prose.
const LISTING: &[&str] = &[
    "extract",
    "extrahiere",
    "find",
    "finde",
    "give",
    "gib",
    "identify",
    "list",
    "liste",
    "name",
    "nenne",
    "show",
    "which",
    "welche",
    "who",
    "wer",
];

const SUMMARISING: &[&str] =
    &["summar", "zusammen", "shorten", "condense", "tl;dr", "brief", "gist", "overview"];

/// Answers a task in words of its material; one piece is one sentence or list item.
pub(super) fn answer(task: &Task, material: &Material) -> (Vec<String>, Wish) {
    let own = Wish::read(&task.instruction);
    let mut wish = if own == Wish::default() { Wish::read(&task.system) } else { own };
    let instruction = task.instruction.trim();
    if task.material.is_empty() {
        let is_question = instruction.ends_with('?');
        let pieces = if is_question { vec![NO_TEXT.to_owned()] } else { summary::summarise(material, wish) };
        return (pieces, wish);
    }
    if let Some(list) = list(instruction, material, wish) {
        wish.is_list = list.len() > 1;
        return (list, wish);
    }
    let lower = instruction.to_lowercase();
    let summarises = SUMMARISING.iter().any(|word| lower.contains(word));
    let question = instruction.lines().rev().find(|line| line.trim_end().ends_with('?'));
    match question.filter(|_| !summarises) {
        Some(question) => (answer::answer(material, question, wish), wish),
        None => (summary::summarise(material, wish), wish),
    }
}

/// Lists people, dates and the like where the instruction asks for them in its first words.
fn list(instruction: &str, material: &Material, wish: Wish) -> Option<Vec<String>> {
    let lower = instruction.to_lowercase();
    let mut all = words::words(&lower)
        .filter(|word| !["please", "bitte", "all", "alle", "the", "every"].contains(word));
    let first = all.next()?;
    if !LISTING.contains(&first)
        && !lower.starts_with("what is the title")
        && !lower.starts_with("what language")
    {
        return None;
    }
    let (noun, wanted) = all.take(3).find_map(|word| Some((word, Wanted::of_word(word)?)))?;
    // `Which dates are named?` asks for a list, `Which date was agreed?` for an answer.
    let only = matches!(wanted, Kind::Language | Kind::Title);
    let many = only || noun.ends_with('s') || noun.ends_with('n') || noun == "people";
    if ["who", "wer", "which", "welche"].contains(&first) && !many {
        return None;
    }
    let mut found = match wanted {
        Kind::Person => material.names.people.iter().map(|person| person.name.clone()).collect(),
        Kind::Organisation => material.names.organisations.clone(),
        Kind::Place => material.names.places.clone(),
        Kind::Date => unique(super::dates::find(&material.text).iter().map(ToString::to_string)),
        Kind::Email => unique(facts::emails(&material.text)),
        Kind::Url => unique(facts::urls(&material.text)),
        Kind::Money => {
            let money = facts::numbers(&material.text).into_iter().filter(|amount| amount.is_money);
            unique(money.map(|amount| amount.text))
        }
        Kind::Topic => topics::top(material, wish.sentences.unwrap_or(topics::USUAL)),
        Kind::Title => material.title().into_iter().collect(),
        Kind::Language => material.language.map(|language| language.name.to_owned()).into_iter().collect(),
        _ => return None,
    };
    if let Some(most) = wish.sentences {
        found.truncate(most);
    }
    Some(if found.is_empty() { vec!["The text has none.".to_owned()] } else { found })
}

/// Keeps the first of equal texts.
pub(super) fn unique(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    texts.into_iter().filter(|text| seen.insert(text.clone())).collect()
}
