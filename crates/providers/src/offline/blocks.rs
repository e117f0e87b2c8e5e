//! Reads Markdown or plain text into blocks: headings, paragraphs, list items, table rows, labelled lines.
//!
//! Takes the markup away, so that everything behind it sees plain text. Never fails: what is no markup is text.

mod inline;

pub(super) use self::inline::plain;

/// One piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) kind: Kind,
    /// The text without markup, on one line.
    pub(super) text: String,
    /// What stands before the first colon: a label, or who speaks.
    pub(super) label: Option<String>,
    /// Column headings and cells of a table row.
    pub(super) cells: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A heading and its level, from 1.
    Heading(usize),
    /// Running text.
    Paragraph,
    /// An item of a list.
    Item,
    /// A row of a table.
    Row,
    /// A labelled fact such as `Date: 2026-03-14`; the text is what follows the colon.
    Label,
    /// A line that is no sentence: part of an address, a greeting, a signature.
    Line,
}

/// Longest line, in characters, that is taken for a line of its own and not for wrapped text.
const SHORT_LINE: usize = 60;
/// Longest text of a labelled fact, in characters.
const LONGEST_FACT: usize = 160;

/// Reads all blocks in order; fenced code is left out.
pub(super) fn read(text: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.line(line);
    }
    reader.flush();
    reader.blocks
}

#[derive(Default)]
struct Reader<'a> {
    blocks: Vec<Block>,
    lines: Vec<&'a str>,
    is_item: bool,
    quote: usize,
    fence: Option<&'a str>,
    table: Vec<Vec<String>>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, raw: &'a str) {
        if let Some(fence) = self.fence {
            if raw.trim().starts_with(fence) {
                self.fence = None;
            }
            return;
        }
        let (quote, line) = unquote(raw);
        if quote != self.quote {
            self.flush();
            self.quote = quote;
        }
        let trimmed = line.trim();
        if let Some(fence) = ["```", "~~~"].into_iter().find(|fence| trimmed.starts_with(fence)) {
            self.flush();
            self.fence = Some(fence);
        } else if trimmed.is_empty() || is_rule(trimmed) {
            self.underline(trimmed);
        } else if let Some((level, heading)) = heading(trimmed) {
            self.flush();
            self.push(Kind::Heading(level), heading);
        } else if trimmed.starts_with('|') {
            self.flush_lines();
            self.table.push(cells(trimmed));
        } else if let Some(item) = item(trimmed) {
            self.flush();
            self.is_item = true;
            self.lines.push(item);
        } else {
            self.flush_table();
            if self.is_item && !line.starts_with([' ', '\t']) && self.lines.is_empty() {
                self.is_item = false;
            }
            self.lines.push(trimmed);
        }
    }

    /// Ends a paragraph; a rule under a single line makes that line a heading.
    fn underline(&mut self, rule: &str) {
        let level = if rule.starts_with('=') { 1 } else { 2 };
        match self.lines.as_slice() {
            [only] if rule.len() >= 3 && rule.starts_with(['=', '-']) && !self.is_item => {
                let heading = *only;
                self.lines.clear();
                self.push(Kind::Heading(level), heading);
            }
            _ => self.flush(),
        }
    }

    fn push(&mut self, kind: Kind, text: &str) {
        let text = plain(text);
        if text.chars().any(char::is_alphanumeric) {
            self.blocks.push(Block { kind, text, label: None, cells: Vec::new() });
        }
    }

    fn flush(&mut self) {
        self.flush_lines();
        self.flush_table();
    }

    fn flush_lines(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if std::mem::take(&mut self.is_item) {
            self.push(Kind::Item, &lines.join(" "));
        } else if lines.len() > 1 && stand_alone(&lines) {
            for line in lines {
                self.paragraph(line);
            }
        } else {
            let mut rest = lines.as_slice();
            if let Some((first, others)) =
                rest.split_first().filter(|(first, others)| is_shouted(first) && !others.is_empty())
            {
                self.push(Kind::Heading(1), first);
                rest = others;
            }
            // Labelled lines may stand directly above the text that they introduce.
            while let Some((first, others)) = rest.split_first().filter(|(first, _)| label(first).is_some()) {
                self.paragraph(first);
                rest = others;
            }
            self.paragraph(&rest.join(" "));
        }
    }

    fn paragraph(&mut self, text: &str) {
        if is_attribution(text) {
            return;
        }
        let pieces: Vec<&str> = text.split(" · ").collect();
        if pieces.len() > 1 && pieces.iter().any(|piece| label(piece).is_some()) {
            for piece in pieces {
                match label(piece) {
                    Some((label, content, _)) => self.labelled(Kind::Label, label, content),
                    None => self.push(Kind::Line, piece),
                }
            }
            return;
        }
        match label(text) {
            Some((label, content, _)) if is_fact(&content) => self.labelled(Kind::Label, label, content),
            Some((label, content, true)) => self.labelled(Kind::Paragraph, label, content),
            _ => self.push(if is_line(text) { Kind::Line } else { Kind::Paragraph }, text),
        }
    }

    fn labelled(&mut self, kind: Kind, label: String, text: String) {
        self.blocks.push(Block { kind, text, label: Some(label), cells: Vec::new() });
    }

    fn flush_table(&mut self) {
        let mut rows = std::mem::take(&mut self.table).into_iter();
        let mut head = Vec::new();
        let is_separator = |row: &[String]| {
            row.iter().all(|cell| !cell.is_empty() && cell.bytes().all(|b| b"-: ".contains(&b)))
        };
        if rows.as_slice().get(1).is_some_and(|row| is_separator(row)) {
            head = rows.next().unwrap_or_default();
            rows.next();
        }
        for row in rows {
            let names = head.iter().map(String::as_str).chain(std::iter::repeat(""));
            let cells: Vec<_> = names.zip(row).map(|(name, cell)| (plain(name), plain(&cell))).collect();
            let text = cells.iter().map(|(_, cell)| cell.as_str()).filter(|cell| !cell.is_empty());
            let text = text.collect::<Vec<_>>().join(" – ");
            self.blocks.push(Block { kind: Kind::Row, text, label: None, cells });
        }
    }
}

/// Takes the quotation marks of mails and Markdown off and counts them.
fn unquote(line: &str) -> (usize, &str) {
    let mut depth = 0;
    let mut rest = line;
    while let Some(inner) = rest.trim_start().strip_prefix('>') {
        depth += 1;
        rest = inner.strip_prefix(' ').unwrap_or(inner);
    }
    (depth, rest)
}

fn is_rule(line: &str) -> bool {
    let Some(first) = line.chars().next().filter(|c| "-=*_".contains(*c)) else { return false };
    line.chars().count() >= 3 && line.chars().all(|c| c == first || c == ' ')
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    let text = line.get(level..)?.strip_prefix(' ')?;
    (1..=6).contains(&level).then_some((level, text.trim_end_matches(['#', ' '])))
}

/// Gives the text of a list item without its bullet, number, or check box.
fn item(line: &str) -> Option<&str> {
    let bullet = ["- ", "* ", "+ ", "• ", "– "].into_iter().find_map(|mark| line.strip_prefix(mark));
    let text = bullet.or_else(|| {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let rest = line.get(digits..).filter(|_| (1..=3).contains(&digits))?;
        let text = rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") "))?;
        // `3. April 2026` at the start of a line is a date.
        let first = text.split_whitespace().next().unwrap_or_default();
        (!super::dates::is_month(first)).then_some(text)
    })?;
    let text = text.trim_start();
    Some(["[ ] ", "[x] ", "[X] "].into_iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text))
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim_matches('|').replace("\\|", "\u{1}");
    inner.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// Tells whether the lines of a paragraph are lines of their own: an address, a verse, a list of labels.
fn stand_alone(lines: &[&str]) -> bool {
    let labels = lines.iter().filter(|line| label(line).is_some() || line.contains(" · ")).count();
    let short = lines.iter().all(|line| line.chars().count() < SHORT_LINE);
    let starts = lines.iter().filter(|line| !line.starts_with(char::is_lowercase)).count();
    labels * 2 > lines.len() || (short && starts == lines.len())
}

/// Cuts `Label: content`, also `**Label:** content`; the last value tells whether the label was in bold.
fn label(text: &str) -> Option<(String, String, bool)> {
    let (name, content) = text.split_once(':')?;
    let bold = name.starts_with("**");
    let content = if bold { content.strip_prefix("**").unwrap_or(content) } else { content };
    let name = name.trim_matches('*').trim();
    let fits = name.chars().count() <= 40
        && (1..=5).contains(&name.split_whitespace().count())
        && name.starts_with(|c: char| c.is_alphabetic())
        && !name.contains(['.', ',', ';', '!', '?', '|', '@', '"', '“', '`'])
        && (bold || name.starts_with(|c: char| !c.is_lowercase() || name.split_whitespace().count() == 1));
    let content_fits = content.starts_with([' ', '*']) && content.chars().any(char::is_alphanumeric);
    (fits && content_fits).then(|| (plain(name), plain(content), bold))
}

/// Tells whether a line is written in capitals, as titles of plain texts are.
fn is_shouted(line: &str) -> bool {
    let short = line.chars().count() < SHORT_LINE && super::words::count(line) >= 2;
    short && !line.chars().any(char::is_lowercase) && line.chars().filter(|c| c.is_uppercase()).count() >= 6
}

fn is_fact(content: &str) -> bool {
    content.chars().count() <= LONGEST_FACT && !content.ends_with(['.', '!', '?', '”', '。'])
}

/// Tells whether a text is the line by which a mail program introduces a quotation.
fn is_attribution(text: &str) -> bool {
    let ends = [" wrote:", " schrieb:", " writes:"].iter().any(|end| text.ends_with(end));
    ends && text.contains('@')
}

/// Tells whether a paragraph of one line is no sentence.
fn is_line(text: &str) -> bool {
    let short = text.chars().count() < SHORT_LINE && super::words::count(text) <= 10;
    short && !text.ends_with(['.', '!', '?', '…', '。', '！', '？', '؟', '”', '"', ')', '»', '」'])
}

#[cfg(test)]
mod tests;
