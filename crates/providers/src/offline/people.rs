//! Finds the people that a text names, and counts how often; organisations come along as what people are not.
//!
//! Works by capitals, titles, roles, labels, and a list of common given names, and would rather miss a person than
//! take a place for one. Does not follow pronouns.

mod evidence;
mod lexicon;
mod runs;

use std::collections::{HashMap, HashSet};

use self::runs::Run;
use super::blocks::{Block, Kind};
use super::facts;
use super::words::{self, Language};

/// The people and organisations of a text, in the order of their first mention.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) people: Vec<Person>,
    pub(super) organisations: Vec<String>,
    /// Names behind `in`: towns, countries, rooms.
    pub(super) places: Vec<String>,
    /// Which person a part of a name means, where it is only one; in lower case.
    aliases: HashMap<String, Option<usize>>,
}

/// Somebody who is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// The longest form of the name, without titles where first and last name are known.
    pub(super) name: String,
    pub(super) role: Option<String>,
    /// How often the person is named, in full or in part.
    pub(super) mentions: usize,
}

/// A piece of text in which names may stand, with its label.
struct Place<'a> {
    text: &'a str,
    label: Option<&'a str>,
    kind: Kind,
}

#[derive(Default)]
struct Candidate {
    name: String,
    weight: u32,
    role: Option<String>,
    impossible: bool,
}

/// Finds all names in the blocks of a text.
pub(super) fn find(blocks: &[Block], language: Option<Language>, text: &str) -> Names {
    let places = places(blocks);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut by_key: HashMap<String, usize> = HashMap::new();
    let mut singles: Vec<(String, String)> = Vec::new();
    let mut organisations: Vec<String> = Vec::new();
    let mail_names = mail_names(text);
    let is_german = language.is_some_and(|language| language.code == "de");
    let small = if is_german { HashSet::new() } else { small_words(text) };
    for (at, place) in places.iter().enumerate() {
        singles.extend(polite_names(place.text).into_iter().map(|name| (name.clone(), name)));
        for run in runs::find(place.text) {
            organisations.extend(organisation(&run));
            if let [word] = run.words.as_slice() {
                singles.extend(single(&run, word, place));
                continue;
            }
            if matches!(place.kind, Kind::Heading(_)) {
                continue;
            }
            let name = run.name();
            let known = *by_key.entry(name.to_lowercase()).or_insert_with(|| {
                candidates.push(Candidate { name: name.clone(), ..Candidate::default() });
                candidates.len() - 1
            });
            let Some(candidate) = candidates.get_mut(known) else { continue };
            let next = places.get(at + 1).filter(|next| next.kind == Kind::Line);
            candidate.impossible |= evidence::is_impossible(&run);
            candidate.weigh(&run, place, next);
            if mail_names.contains(&name.to_lowercase().replace(' ', ".")) {
                candidate.weight += 3;
            }
        }
    }
    candidates.retain(|candidate| candidate.is_person(&small));
    let people = candidates.into_iter().map(|c| Person { name: c.name, role: c.role, mentions: 0 }).collect();
    let mut names = Names::of(people, organisations, Vec::new());
    names.add_singles(singles);
    names.within(blocks)
}

impl Names {
    fn of(people: Vec<Person>, mut organisations: Vec<String>, mut places: Vec<String>) -> Self {
        let mut aliases: HashMap<String, Option<usize>> = HashMap::new();
        for (number, person) in people.iter().enumerate() {
            let lower = person.name.to_lowercase();
            let words: Vec<&str> = lower.split(' ').collect();
            let parts = [words.first(), words.last().filter(|_| words.len() > 1)];
            for part in parts.into_iter().flatten().filter(|part| part.chars().count() > 1) {
                let one = aliases.entry((*part).to_owned()).or_insert(Some(number));
                if *one != Some(number) {
                    *one = None;
                }
            }
            aliases.insert(lower.clone(), Some(number));
        }
        let mut seen = HashSet::new();
        organisations.retain(|name| seen.insert(name.to_lowercase()));
        places.retain(|name| seen.insert(name.to_lowercase()) && !aliases.contains_key(&name.to_lowercase()));
        Self { people, organisations, places, aliases }
    }

    /// Gives those who are named in a part of the text, with their mentions there.
    pub(super) fn within(&self, blocks: &[Block]) -> Self {
        let mut order: Vec<usize> = Vec::new();
        let mut counts: HashMap<usize, usize> = HashMap::new();
        let (mut organisations, mut places) = (Vec::new(), Vec::new());
        for place in self::places(blocks) {
            for number in self.mentioned(place.text) {
                let count = counts.entry(number).or_default();
                *count += 1;
                if *count == 1 {
                    order.push(number);
                }
            }
            let runs = runs::find(place.text);
            organisations.extend(runs.iter().filter_map(organisation));
            places.extend(
                runs.iter().filter(|run| run.title.is_none() && ends_with_in(run.before)).map(Run::name),
            );
        }
        let person = |number: &usize| {
            let person = self.people.get(*number)?;
            Some(Person { mentions: counts.get(number).copied().unwrap_or(0), ..person.clone() })
        };
        Self::of(order.iter().filter_map(person).collect(), organisations, places)
    }

    /// Gives the number of the person for every mention in a text.
    pub(super) fn mentioned(&self, text: &str) -> Vec<usize> {
        let mut found: Vec<usize> = runs::find(text).iter().filter_map(|run| self.resolve(run)).collect();
        let japanese = polite_names(text);
        found.extend(japanese.iter().filter_map(|name| self.aliases.get(name).copied().flatten()));
        found
    }

    fn resolve(&self, run: &Run<'_>) -> Option<usize> {
        let name = run.name().to_lowercase();
        if let Some(number) = self.aliases.get(&name).copied().flatten() {
            // A first name in the middle of another name, such as a street's, means nobody.
            return (run.words.len() > 1 || !evidence::is_impossible(run)).then_some(number);
        }
        run.title.and_then(|title| {
            let titled = format!("{} {name}", title.to_lowercase());
            self.aliases.get(&titled).copied().flatten()
        })
    }

    /// Adds people who are only ever called by one name.
    fn add_singles(&mut self, singles: Vec<(String, String)>) {
        let mut people = std::mem::take(&mut self.people);
        let mut seen = HashSet::new();
        for (key, name) in singles {
            if !self.aliases.contains_key(&key) && seen.insert(name.to_lowercase()) {
                people.push(Person { name, role: None, mentions: 0 });
            }
        }
        *self = Self::of(people, std::mem::take(&mut self.organisations), Vec::new());
    }
}

impl Candidate {
    fn weigh(&mut self, run: &Run<'_>, place: &Place<'_>, next: Option<&Place<'_>>) {
        self.weight = self.weight.max(evidence::weigh(run, place.label));
        let office = run.title.filter(|title| lexicon::is_office(title)).map(str::to_owned);
        let alone = place.kind == Kind::Line && run.after.is_empty() && run.before.is_empty();
        let below = next.filter(|_| alone).and_then(|next| evidence::as_role(next.text));
        if below.is_some() {
            self.weight += evidence::ENOUGH;
        }
        let found = evidence::role(run).or(below).or(office);
        // A role of several words tells more than a title or a word in brackets.
        let longer =
            |new: &String| self.role.as_ref().is_none_or(|old| words::count(old) < words::count(new));
        if let Some(role) = found.filter(longer) {
            self.role = Some(role);
        }
    }

    fn is_person(&self, small: &HashSet<String>) -> bool {
        let common = self.name.split(' ').filter(|word| small.contains(&word.to_lowercase())).count();
        let given = self.name.split(' ').next().is_some_and(lexicon::is_given_name);
        !self.impossible && self.weight >= evidence::ENOUGH && (common == 0 || (given && common == 1))
    }
}

/// Gives the texts in which names are looked for: table cells one by one, everything else by block.
fn places(blocks: &[Block]) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    for block in blocks {
        if let (Kind::Paragraph, Some(speaker)) = (block.kind, &block.label) {
            places.push(Place { text: speaker, label: Some("speaker"), kind: Kind::Label });
        }
        if block.cells.is_empty() {
            places.push(Place { text: &block.text, label: block.label.as_deref(), kind: block.kind });
        }
        for (head, cell) in &block.cells {
            places.push(Place { text: cell, label: Some(head), kind: Kind::Row });
        }
    }
    places
}

/// Gives the key and the shown form of a single name that surely means a person.
fn single(run: &Run<'_>, word: &str, place: &Place<'_>) -> Option<(String, String)> {
    if evidence::is_impossible(run) || word.chars().count() < 2 {
        return None;
    }
    if let Some(title) = run.title {
        return Some((word.to_lowercase(), format!("{title} {word}")));
    }
    let previous = run.before.trim_end_matches([' ', ',']).rsplit([' ', '\n']).next().unwrap_or_default();
    let opens = run.before.is_empty()
        && run.after.starts_with(',')
        && matches!(place.kind, Kind::Line | Kind::Paragraph);
    let greeted = lexicon::is_greeting(previous) && run.after.trim_start_matches([',', '!', '.']).is_empty();
    (lexicon::is_given_name(word) && (opens || greeted)).then(|| (word.to_lowercase(), word.to_owned()))
}

fn organisation(run: &Run<'_>) -> Option<String> {
    let last = run.words.last()?;
    let next = run
        .after
        .strip_prefix(' ')
        .and_then(|rest| rest.split([' ', ',', '.', ')']).next())
        .unwrap_or_default();
    if run.words.len() > 1 && lexicon::is_organisation(last) {
        let legal = (lexicon::is_organisation(next)).then_some(next);
        return Some([run.name()].into_iter().chain(legal.map(str::to_owned)).collect::<Vec<_>>().join(" "));
    }
    let of = run.after.strip_prefix(" of ").and_then(|rest| runs::find(rest).into_iter().next());
    match (*last, of) {
        ("University" | "Bank" | "Ministry", Some(place)) if place.before.is_empty() => {
            Some(format!("{} of {}", run.name(), place.name()))
        }
        _ => None,
    }
}

fn ends_with_in(before: &str) -> bool {
    [" in ", "In "].iter().any(|end| before.ends_with(end))
}

/// Gives the names that the text's mail addresses spell out, as `first.last`.
fn mail_names(text: &str) -> HashSet<String> {
    let names =
        facts::emails(text).into_iter().filter_map(|mail| Some(mail.split_once('@')?.0.to_lowercase()));
    names.filter(|name| name.contains('.')).collect()
}

fn small_words(text: &str) -> HashSet<String> {
    words::words(text).filter(|word| word.starts_with(char::is_lowercase)).map(str::to_owned).collect()
}

/// Gives the Japanese names that a polite ending marks.
fn polite_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for ending in ["さん", "様", "氏"] {
        for (at, _) in text.match_indices(ending) {
            let before = text.get(..at).unwrap_or_default();
            let is_part =
                |c: &char| ('\u{4E00}'..='\u{9FFF}').contains(c) || ('\u{30A0}'..='\u{30FF}').contains(c);
            let name: Vec<char> = before.chars().rev().take(5).take_while(is_part).collect();
            if (1..=4).contains(&name.len()) {
                names.push(name.into_iter().rev().collect());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests;
