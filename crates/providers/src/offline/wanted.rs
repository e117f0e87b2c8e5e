//! Tells from a property's name and description which kind of fact it wants.

use super::words;

/// A kind of fact that can be found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Date,
    Person,
    Organisation,
    Place,
    Role,
    Email,
    Url,
    Money,
    /// How many there are of something, or a number beside the property's own words.
    Number,
    Title,
    Summary,
    Topic,
    Language,
    /// The answer to the question asked.
    Answer,
    /// Sentences that stand for the text.
    Point,
    /// Nothing in particular: what a label, a section, or the best-matching sentence says.
    Other,
}

/// What a property wants.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    /// Words of the name, in lower case.
    pub(super) name: Vec<String>,
    /// Name and description as one text, for matching.
    pub(super) words: String,
}

const NOUNS: &[(Kind, &str)] = &[
    (
        Kind::Date,
        "date dates day deadline deadlines due when datum daten termin termine tag frist fristen expiry expires",
    ),
    (
        Kind::Person,
        "person persons people personen name names namen attendee attendees participant participants author authors owner \
         assignee speaker speakers who signatory signatories signer chair employee employees contact contacts member members \
         teilnehmer beteiligte interviewee interviewer sender recipient customer_name individual individuals",
    ),
    (
        Kind::Organisation,
        "organisation organisations organization organizations company companies firm firms firma firmen employer vendor",
    ),
    (
        Kind::Place,
        "city town country place location venue ort stadt land cities countries places locations orte städte länder",
    ),
    (Kind::Role, "role roles position job rolle funktion occupation"),
    (Kind::Email, "email emails mail mails"),
    (Kind::Url, "url urls link links website uri href"),
    (
        Kind::Money,
        "amount amounts price prices cost costs money budget fee fees sum total value payment betrag beträge preis kosten",
    ),
    (Kind::Number, "number numbers count anzahl zahl zahlen quantity mentions occurrences figures"),
    (Kind::Title, "title titles headline heading subject titel überschrift betreff"),
    (
        Kind::Summary,
        "summary abstract description overview brief tldr gist synopsis zusammenfassung beschreibung kurzfassung",
    ),
    (
        Kind::Topic,
        "topic topics keyword keywords tag tags theme themes thema themen schlagwort schlagworte stichworte category categories",
    ),
    (Kind::Language, "language lang sprache locale"),
    (Kind::Answer, "answer answers antwort reply response"),
    (
        Kind::Point,
        "points point highlights highlight sentences quotes quote facts findings insights takeaways bullets key_points",
    ),
];

impl Wanted {
    /// Reads a property's name and the description of its schema.
    pub(super) fn of(name: &str, description: &str, parent: Option<&Wanted>) -> Self {
        let parts = name_words(name);
        let by_name = parts.iter().rev().find_map(|word| Self::of_word(word));
        // `company_name` and `file_name` are no people, but what stands before says what they are.
        let named = matches!(parts.last().map(String::as_str), Some("name" | "names"));
        let kind = match by_name {
            Some(Kind::Person) if named && parts.len() > 1 => {
                let owner = parts.iter().rev().skip(1).find_map(|word| Self::of_word(word));
                let human = ["full", "first", "last", "display"]
                    .iter()
                    .any(|word| parts.contains(&(*word).to_owned()));
                owner.unwrap_or(if human { Kind::Person } else { Kind::Other })
            }
            Some(Kind::Person) if named => match parent.map(|parent| parent.kind) {
                Some(kind @ (Kind::Organisation | Kind::Topic)) => kind,
                _ => Kind::Person,
            },
            Some(kind) => kind,
            None => words::words(description)
                .find_map(|word| Self::of_word(&word.to_lowercase()))
                .unwrap_or(Kind::Other),
        };
        Self { kind, words: format!("{} {description}", parts.join(" ")), name: parts }
    }

    /// Gives the kind that a single word stands for.
    pub(super) fn of_word(word: &str) -> Option<Kind> {
        NOUNS
            .iter()
            .find(|(_, nouns)| nouns.split_whitespace().any(|noun| noun == word))
            .map(|(kind, _)| *kind)
    }

    /// Gives the kind of what is counted, such as people for `people_count`.
    pub(super) fn counted(&self) -> Option<Kind> {
        let counts = ["count", "number", "anzahl", "num", "mentions", "total"];
        if !self.name.iter().any(|word| counts.contains(&word.as_str())) {
            return None;
        }
        self.name.iter().filter(|word| !counts.contains(&word.as_str())).find_map(|word| Self::of_word(word))
    }
}

/// Cuts `dueDate`, `due_date`, and `due-date` into words.
fn name_words(name: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut previous_small = false;
    for character in name.chars() {
        if character.is_uppercase() && previous_small {
            spaced.push(' ');
        }
        previous_small = character.is_lowercase() || character.is_numeric();
        if character.is_alphanumeric() {
            spaced.extend(character.to_lowercase());
        } else {
            spaced.push(' ');
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_descriptions_tell_what_is_wanted() {
        for (name, description, expected) in [
            ("due_date", "", Kind::Date),
            ("dates", "ISO dates mentioned", Kind::Date),
            ("people", "", Kind::Person),
            ("fullName", "", Kind::Person),
            ("company_name", "", Kind::Organisation),
            ("fileName", "", Kind::Other),
            ("author-email", "", Kind::Email),
            ("one_line_summary", "", Kind::Summary),
            ("x", "The main topics", Kind::Topic),
            ("risks", "", Kind::Other),
            ("total_cost", "", Kind::Money),
        ] {
            assert_eq!(Wanted::of(name, description, None).kind, expected, "{name}");
        }
        assert_eq!(Wanted::of("number_of_people", "", None).counted(), Some(Kind::Person));
        let parent = Wanted::of("companies", "", None);
        assert_eq!(Wanted::of("name", "", Some(&parent)).kind, Kind::Organisation);
    }
}
