//! A text that has been read once: its blocks, sentences, sections, labels, and what kinds of facts stand in it.
//!
//! Knows nothing of what is asked.

use std::collections::HashMap;

use super::blocks::{self, Block, Kind};
use super::people::{self, Names};
use super::words::{self, Language};
use super::{clean, sentences};

/// A text and what was read out of it.
pub(super) struct Material {
    /// The text in its normal form, with markup.
    pub(super) text: String,
    pub(super) blocks: Vec<Block>,
    pub(super) sentences: Vec<Sentence>,
    pub(super) language: Option<Language>,
    pub(super) names: Names,
    /// Number of each stem, by which sentences refer to it.
    pub(super) stems: HashMap<String, u32>,
}

/// One sentence, list item, or table row.
pub(super) struct Sentence {
    pub(super) text: String,
    /// The block it is part of.
    pub(super) block: usize,
    pub(super) kind: Kind,
    /// The heading it stands under; `None` before the first.
    pub(super) section: Option<usize>,
    /// Who says it, in a transcript.
    pub(super) speaker: Option<String>,
    /// How often each stem occurs in it, by number of the stem.
    pub(super) terms: Vec<(u32, f32)>,
    pub(super) words: usize,
}

impl Material {
    /// Reads a text.
    pub(super) fn read(text: &str) -> Self {
        Self::within(text, None)
    }

    /// Reads a part of a greater text, whose people are known already.
    pub(super) fn part(text: &str, whole: &Material) -> Self {
        Self::within(text, Some(whole))
    }

    fn within(text: &str, whole: Option<&Material>) -> Self {
        let text = clean::normalise(text);
        let blocks = blocks::read(&text);
        let language = whole.map_or_else(|| words::language(&text), |whole| whole.language);
        let names = match whole {
            None => people::find(&blocks, language, &text),
            Some(whole) => whole.names.within(&blocks),
        };
        let mut stems = HashMap::new();
        let sentences = sentences(&blocks, &mut stems);
        Self { text, blocks, sentences, language, names, stems }
    }

    /// Gives the text of a sentence as it is shown: with its speaker where there is one.
    pub(super) fn shown(&self, sentence: &Sentence) -> String {
        match &sentence.speaker {
            Some(speaker) => format!("{speaker}: {}", sentence.text),
            None => sentence.text.clone(),
        }
    }

    /// Gives the title: the first heading, a subject line, or a first line that looks like one.
    pub(super) fn title(&self) -> Option<String> {
        let heading = self.blocks.iter().find(|block| matches!(block.kind, Kind::Heading(_)));
        if let Some(heading) = heading {
            return Some(heading.text.clone());
        }
        let subject = ["subject", "betreff", "title", "titel"];
        if let Some(subject) =
            self.labels().find(|(label, _)| subject.contains(&label.to_lowercase().as_str()))
        {
            return Some(without_reply_marks(subject.1));
        }
        let mut lines = self.blocks.iter().filter(|block| block.kind == Kind::Line).take(12);
        let shouted = self.blocks.first().filter(|block| {
            block.text.chars().any(char::is_alphabetic) && !block.text.chars().any(char::is_lowercase)
        });
        let line = shouted.or_else(|| lines.find(|block| is_title(block)));
        let first = || self.sentences.first().map(|sentence| shortened(&sentence.text, 12));
        line.map(|block| block.text.clone()).or_else(first)
    }

    /// Gives who signed: the last line that names a person.
    pub(super) fn signature(&self) -> Option<String> {
        let mut lines = self.blocks.iter().rev().filter(|block| block.kind == Kind::Line);
        let number = lines.find_map(|block| self.names.mentioned(&block.text).into_iter().next())?;
        self.names.people.get(number).map(|person| person.name.clone())
    }

    /// Gives every labelled fact: lines such as `Place: Kiel`, and the cells of tables under their headings.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.blocks.iter().filter(|block| block.kind == Kind::Label);
        let lines = lines.filter_map(|block| Some((block.label.as_deref()?, block.text.as_str())));
        let cells = self.blocks.iter().flat_map(|block| &block.cells);
        lines.chain(cells.map(|(name, cell)| (name.as_str(), cell.as_str())))
    }

    /// Gives the heading of a sentence's section.
    pub(super) fn heading(&self, sentence: &Sentence) -> &str {
        sentence.section.and_then(|section| self.blocks.get(section)).map_or("", |block| &block.text)
    }
}

fn sentences(blocks: &[Block], stems: &mut HashMap<String, u32>) -> Vec<Sentence> {
    let mut all = Vec::new();
    let mut section = None;
    for (place, block) in blocks.iter().enumerate() {
        let pieces = match block.kind {
            Kind::Heading(_) => {
                section = Some(place);
                continue;
            }
            Kind::Label | Kind::Line => continue,
            Kind::Row => vec![block.text.as_str()],
            Kind::Paragraph | Kind::Item => sentences::split(&block.text),
        };
        for (number, text) in pieces.into_iter().enumerate() {
            // A letter goes on in small letters after its greeting.
            let greeted = place.checked_sub(1).and_then(|before| blocks.get(before));
            let greeted =
                greeted.is_some_and(|before| before.kind == Kind::Line && before.text.ends_with(','));
            let opens = block.kind == Kind::Paragraph && number == 0 && greeted;
            all.push(Sentence {
                text: if opens { capitalised(text) } else { text.to_owned() },
                block: place,
                kind: block.kind,
                section,
                speaker: block.label.clone(),
                terms: terms(text, stems),
                words: words::count(text),
            });
        }
    }
    all
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().into_iter().flat_map(char::to_uppercase).chain(rest).collect()
}

fn terms(text: &str, stems: &mut HashMap<String, u32>) -> Vec<(u32, f32)> {
    let mut terms: Vec<(u32, f32)> = Vec::new();
    for stem in words::stems(text) {
        let next = u32::try_from(stems.len()).unwrap_or(u32::MAX);
        terms.push((*stems.entry(stem).or_insert(next), 1.0));
    }
    terms.sort_unstable_by_key(|(number, _)| *number);
    terms.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1 += later.1;
        }
        same
    });
    terms
}

fn without_reply_marks(subject: &str) -> String {
    let mut rest = subject.trim();
    while let Some((mark, subject)) = rest.split_once(':') {
        if !["re", "aw", "fw", "fwd", "wg"].contains(&mark.trim().to_lowercase().as_str()) {
            break;
        }
        rest = subject.trim();
    }
    rest.to_owned()
}

fn is_title(block: &Block) -> bool {
    let words = words::count(&block.text);
    let greets = block.text.ends_with(',') || block.text.ends_with(':');
    words >= 4 && !greets && block.text.starts_with(char::is_uppercase)
}

/// Gives the first words of a text, with an ellipsis where more follow.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if words::count(text) <= most {
        return text.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut count = 0;
    for piece in text.split_whitespace() {
        count += words::count(piece);
        if count > most {
            break;
        }
        kept.push(piece);
    }
    let joined = kept.join(" ");
    let end = joined.trim_end_matches([',', ';', ':', '.', '–', '-', ' ']).to_owned();
    if end.is_empty() {
        // Scripts without spaces are cut by characters.
        return text.chars().take(most).chain(['…']).collect();
    }
    end + "…"
}
