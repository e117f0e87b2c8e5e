//! Parts a request into what is asked and the text that it is asked about.
//!
//! In order, the first rule that holds decides:
//! 1. a marker line such as `File content from a.md:` or `Text:`: the material is what follows it;
//! 2. a pair of tags on lines of their own, such as `<document>` … `</document>`, or fenced blocks that are longer
//!    than what surrounds them: the material is what is inside;
//! 3. the first or last paragraph is an instruction or a question: the material is the rest;
//! 4. an instruction up to a colon on the first line: the material is what follows the colon;
//! 5. the whole is an instruction or a question: the material is the conversation before it, tool results included,
//!    or else the system message;
//! 6. otherwise the whole is the material, and the system message the instruction.
//!
//! A paragraph `Question: …` at the end is always part of the instruction.

use base64::Engine as _;
use motet_core::message::{Media, MediaSource};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Part, Result, Role};

/// What is asked, and about which text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Task {
    /// The user's instruction; empty where only a text was sent.
    pub(super) instruction: String,
    /// What the system message says.
    pub(super) system: String,
    /// The text to work on; empty where none was sent.
    pub(super) material: String,
}

/// Longest text, in characters, that is taken for an instruction as a whole.
const LONGEST_INSTRUCTION: usize = 1500;

/// Starts of marker lines, in lower case.
const MARKERS: &[&str] = &[
    "article",
    "conversation",
    "content",
    "context",
    "document",
    "dokument",
    "email",
    "file content from",
    "inhalt",
    "input",
    "kontext",
    "material",
    "source",
    "text",
    "transcript",
    "content of",
    "sources",
    "the text",
    "the document",
];

const CLOSING_MARKERS: &[&str] =
    &["aufgabe:", "frage:", "instruction:", "instructions:", "question:", "task:"];

const IMPERATIVES: &[&str] = &[
    "act",
    "analyse",
    "analyze",
    "answer",
    "beantworte",
    "beschreibe",
    "bewerte",
    "bitte",
    "brief",
    "can",
    "classify",
    "compare",
    "could",
    "create",
    "critique",
    "describe",
    "determine",
    "did",
    "do",
    "does",
    "draft",
    "erkläre",
    "erstelle",
    "evaluate",
    "explain",
    "extract",
    "extrahiere",
    "fasse",
    "fill",
    "find",
    "finde",
    "for",
    "generate",
    "gib",
    "give",
    "has",
    "have",
    "highlight",
    "how",
    "identify",
    "in",
    "is",
    "are",
    "list",
    "liste",
    "make",
    "name",
    "nenne",
    "outline",
    "please",
    "pull",
    "read",
    "review",
    "rewrite",
    "schreibe",
    "schreib",
    "shorten",
    "should",
    "show",
    "state",
    "suggest",
    "summarise",
    "summarize",
    "summary",
    "tell",
    "translate",
    "use",
    "using",
    "was",
    "wann",
    "warum",
    "welche",
    "welcher",
    "welches",
    "wer",
    "what",
    "when",
    "where",
    "which",
    "who",
    "whose",
    "why",
    "wie",
    "will",
    "wo",
    "would",
    "write",
    "you",
    "your",
    "zusammenfassung",
    "übersetze",
];

impl Task {
    /// Reads the task of a request.
    ///
    /// # Errors
    /// `InvalidRequest` where there is no text at all, `Unsupported` for images and documents that are no text.
    pub(super) fn read(request: &ChatRequest) -> Result<Self> {
        let last = request.messages.iter().rposition(|message| message.role == Role::User);
        let user = match last.and_then(|at| request.messages.get(at)) {
            Some(message) => whole_text(message)?,
            None => String::new(),
        };
        let of_role = |role: Role| request.messages.iter().filter(move |message| message.role == role);
        let system = of_role(Role::System).map(Message::visible_text).collect::<Vec<_>>().join("\n\n");
        let mut others = Vec::new();
        for (at, message) in request.messages.iter().enumerate() {
            if Some(at) != last && message.role != Role::System {
                others.push(whole_text(message)?);
            }
        }
        let others = others.join("\n\n");
        if [&user, &system, &others].iter().all(|text| text.trim().is_empty()) {
            return Err(Error::new(ErrorKind::InvalidRequest, "the request has no text to work on")
                .with_hint("send a user message with the text, and what to do with it"));
        }
        Ok(Self::of(user.trim(), system.trim(), others.trim()))
    }

    fn of(user: &str, system: &str, others: &str) -> Self {
        if let Some((instruction, material)) = part(user) {
            return Self { instruction, material, system: system.to_owned() };
        }
        if !is_instruction(user) {
            let instruction = String::new();
            return Self { instruction, material: user.to_owned(), system: system.to_owned() };
        }
        let instruction = user.to_owned();
        let (system, material) = match (others.is_empty(), part(system)) {
            (false, _) => (system.to_owned(), others.to_owned()),
            (true, Some((system, material))) => (system, material),
            (true, None) if !is_instruction(system) => (String::new(), system.to_owned()),
            (true, None) => (system.to_owned(), String::new()),
        };
        Self { instruction, material, system }
    }
}

/// Gives the text of a message with its text documents and tool results.
fn whole_text(message: &Message) -> Result<String> {
    let mut texts = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text { text, .. } => texts.push(text.clone()),
            Part::Document(media) => texts.push(document(media)?),
            Part::ToolResult(result) => {
                texts.push(result.content.iter().filter_map(Part::as_text).collect::<Vec<_>>().join("\n"));
            }
            Part::Image(_) => return Err(unsupported("an image")),
            _ => {}
        }
    }
    Ok(texts.join("\n\n"))
}

fn document(media: &Media) -> Result<String> {
    let is_text = media.media_type.as_deref().is_none_or(|kind| kind.starts_with("text/"));
    let MediaSource::Base64(encoded) = &media.source else {
        return Err(unsupported("a document by its address"));
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok().filter(|_| is_text);
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| unsupported("a document that is no text"))
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("`offline:extract` cannot read {what}"))
        .with_hint("send its text, or choose a model of a provider that reads it")
}

/// Parts a text by the rules 1 to 4.
fn part(text: &str) -> Option<(String, String)> {
    let (text, question) = closing(text);
    let parted = marked(text)
        .or_else(|| tagged(text))
        .or_else(|| fenced(text))
        .or_else(|| by_paragraph(text))
        .or_else(|| by_colon(text))
        .or_else(|| question.is_some().then(|| (String::new(), text.to_owned())));
    parted.map(|(instruction, material)| {
        let instruction = [instruction.trim(), question.unwrap_or_default().trim()];
        (instruction.join("\n").trim().to_owned(), material.trim().to_owned())
    })
}

/// Cuts a paragraph such as `Question: …` off the end.
fn closing(text: &str) -> (&str, Option<&str>) {
    let Some(at) = text.rfind("\n\n") else { return (text, None) };
    let (before, last) = text.split_at(at);
    let lower = last.trim_start().to_lowercase();
    let Some(marker) = CLOSING_MARKERS.iter().find(|marker| lower.starts_with(**marker)) else {
        return (text, None);
    };
    (before, last.trim_start().get(marker.len()..))
}

fn marked(text: &str) -> Option<(String, String)> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let end = offset + line.len();
        if is_marker(line.trim()) {
            let material: Vec<&str> =
                text.get(end..)?.lines().filter(|line| !is_file_marker(line.trim())).collect();
            let material = material.join("\n");
            return (!material.trim().is_empty())
                .then(|| (text.get(..offset).unwrap_or_default().to_owned(), material));
        }
        offset = end;
        if offset > 4 * LONGEST_INSTRUCTION {
            return None;
        }
    }
    None
}

fn is_marker(line: &str) -> bool {
    let Some(name) = line.trim_matches(['*', '#', ' ']).strip_suffix(':') else { return false };
    let lower = name.trim_matches('*').to_lowercase();
    is_file_marker(line) || MARKERS.contains(&lower.as_str()) || lower.starts_with("content of ")
}

fn is_file_marker(line: &str) -> bool {
    line.ends_with(':') && line.len() < 500 && line.to_lowercase().starts_with("file content from ")
}

fn tagged(text: &str) -> Option<(String, String)> {
    let open = text.lines().take(40).map(str::trim).find(|line| {
        let name = line.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    })?;
    let close = open.replacen('<', "</", 1);
    let (before, rest) = text.split_once(open)?;
    let (inside, after) = rest.rsplit_once(close.as_str())?;
    Some((format!("{}\n{}", before.trim(), after.trim()), inside.to_owned()))
}

fn fenced(text: &str) -> Option<(String, String)> {
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    let mut open = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            open = !open;
        } else if open {
            inside.push(line);
        } else {
            outside.push(line);
        }
    }
    let (inside, outside) = (inside.join("\n"), outside.join("\n"));
    (!inside.trim().is_empty() && inside.len() > outside.trim().len()).then_some((outside, inside))
}

fn by_paragraph(text: &str) -> Option<(String, String)> {
    if let Some((first, rest)) = text.split_once("\n\n")
        && is_instruction(first)
        && !rest.trim().is_empty()
        && !is_instruction(rest)
    {
        return Some((first.to_owned(), rest.to_owned()));
    }
    let (rest, last) = text.rsplit_once("\n\n")?;
    (is_instruction(last) && !is_instruction(rest)).then(|| (last.to_owned(), rest.to_owned()))
}

fn by_colon(text: &str) -> Option<(String, String)> {
    let (head, material) = text.split_once(':')?;
    let fits = is_instruction(head) && !head.contains('\n') && head.chars().count() < 200;
    (fits && super::words::count(material) >= 3).then(|| (head.to_owned(), material.to_owned()))
}

/// Tells whether a text asks for something: it starts with a verb or question word, or ends with a question mark.
pub(super) fn is_instruction(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || text.starts_with(['#', '|', '>']) || text.len() > 4 * LONGEST_INSTRUCTION {
        return false;
    }
    let first = super::words::words(text).next().unwrap_or_default().to_lowercase();
    let short = text.chars().count() <= LONGEST_INSTRUCTION;
    let greeting = text.lines().next().is_some_and(|line| line.trim_end().ends_with(','));
    short && !greeting && (text.ends_with('?') || IMPERATIVES.contains(&first.as_str()))
}

#[cfg(test)]
mod tests;
