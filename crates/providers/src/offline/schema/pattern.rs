//! Matches the regular expressions that JSON schemas use: classes, groups, alternatives, repeats, and anchors.
//!
//! Look-around and back references are refused. The work of one match is bounded.

use motet_core::{Error, ErrorKind, Result};

/// A regular expression, found anywhere in a text unless it is anchored.
#[derive(Debug)]
pub(super) struct Pattern {
    alternatives: Vec<Vec<Node>>,
}

#[derive(Debug)]
enum Node {
    One(Class),
    Start,
    End,
    Group(Vec<Vec<Node>>),
    Repeat { node: Box<Node>, least: usize, most: usize },
}

#[derive(Debug)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

/// Steps of one match, after which it counts as failed.
const MOST_STEPS: usize = 200_000;
/// Longest text, in characters, that is matched at all.
const LONGEST_TEXT: usize = 400;

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// `Unsupported` where it uses what is not known here.
    pub(super) fn read(text: &str) -> Result<Self> {
        let characters: Vec<char> = text.chars().collect();
        let mut parser = Parser { rest: &characters, depth: 0 };
        match parser.alternatives() {
            Some(alternatives) if parser.rest.is_empty() => Ok(Self { alternatives }),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!("`offline:extract` cannot read the pattern `{text}`"),
            )
            .with_hint("classes, groups, alternatives, repeats and anchors are known; look-around is not")),
        }
    }

    /// Tells whether the expression is found in the text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let characters: Vec<char> = text.chars().take(LONGEST_TEXT + 1).collect();
        if characters.len() > LONGEST_TEXT {
            return false;
        }
        let mut search = Search { text: &characters, steps: 0 };
        (0..=characters.len()).any(|start| {
            self.alternatives.iter().any(|nodes| search.sequence(nodes, start, &mut |_, _| true))
        })
    }
}

struct Parser<'a> {
    rest: &'a [char],
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest.first() == Some(&wanted);
        if found {
            self.next();
        }
        found
    }

    fn alternatives(&mut self) -> Option<Vec<Vec<Node>>> {
        self.depth += 1;
        if self.depth > 16 {
            return None;
        }
        let mut all = vec![self.sequence()?];
        while self.take('|') {
            all.push(self.sequence()?);
        }
        self.depth -= 1;
        Some(all)
    }

    fn sequence(&mut self) -> Option<Vec<Node>> {
        let mut nodes = Vec::new();
        while self.rest.first().is_some_and(|next| *next != '|' && *next != ')') {
            let node = self.atom()?;
            nodes.push(self.repeated(node)?);
        }
        Some(nodes)
    }

    fn atom(&mut self) -> Option<Node> {
        Some(match self.next()? {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::One(Class { negated: true, ranges: vec![('\n', '\n')] }),
            '[' => Node::One(self.class()?),
            '(' => {
                if self.take('?') && !self.take(':') {
                    return None;
                }
                let inner = self.alternatives()?;
                self.take(')').then_some(Node::Group(inner))?
            }
            '\\' => Node::One(self.escape()?),
            '*' | '+' | '?' | '{' | '}' | ']' => return None,
            other => Node::One(Class { negated: false, ranges: vec![(other, other)] }),
        })
    }

    fn repeated(&mut self, node: Node) -> Option<Node> {
        let (least, most) = match self.rest.first() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            Some('{') => {
                self.next();
                let (least, most) = self.counts()?;
                self.take('?');
                return Some(Node::Repeat { node: Box::new(node), least, most });
            }
            _ => return Some(node),
        };
        self.next();
        self.take('?');
        Some(Node::Repeat { node: Box::new(node), least, most })
    }

    fn counts(&mut self) -> Option<(usize, usize)> {
        let end = self.rest.iter().position(|c| *c == '}')?;
        let inside: String = self.rest.get(..end)?.iter().collect();
        self.rest = self.rest.get(end + 1..)?;
        match inside.split_once(',') {
            None => inside.parse().ok().map(|count| (count, count)),
            Some((least, "")) => Some((least.parse().ok()?, usize::MAX)),
            Some((least, most)) => Some((least.parse().ok()?, most.parse().ok()?)),
        }
    }

    fn escape(&mut self) -> Option<Class> {
        let letter = self.next()?;
        let (negated, ranges): (bool, &[(char, char)]) = match letter {
            'd' | 'D' => (letter == 'D', &[('0', '9')]),
            'w' | 'W' => (letter == 'W', &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
            's' | 'S' => (letter == 'S', &[('\t', '\r'), (' ', ' '), ('\u{A0}', '\u{A0}')]),
            'n' => (false, &[('\n', '\n')]),
            't' => (false, &[('\t', '\t')]),
            'r' => (false, &[('\r', '\r')]),
            other if !other.is_alphanumeric() => {
                return Some(Class { negated: false, ranges: vec![(other, other)] });
            }
            _ => return None,
        };
        Some(Class { negated, ranges: ranges.to_vec() })
    }

    fn class(&mut self) -> Option<Class> {
        let negated = self.take('^');
        let mut ranges = Vec::new();
        loop {
            let first = match self.next()? {
                ']' => return Some(Class { negated, ranges }),
                '\\' => {
                    let class = self.escape()?;
                    match (class.negated, class.ranges.as_slice()) {
                        (false, [(one, same)]) if one == same => *one,
                        (false, several) => {
                            ranges.extend_from_slice(several);
                            continue;
                        }
                        (true, _) => return None,
                    }
                }
                other => other,
            };
            let is_range = self.rest.first() == Some(&'-') && self.rest.get(1).is_some_and(|c| *c != ']');
            let last = if is_range {
                self.next();
                match self.next()? {
                    '\\' => self.next()?,
                    other => other,
                }
            } else {
                first
            };
            ranges.push((first, last));
        }
    }
}

struct Search<'a> {
    text: &'a [char],
    steps: usize,
}

type Then<'t, 's> = &'t mut dyn FnMut(&mut Search<'s>, usize) -> bool;

impl<'s> Search<'s> {
    /// Matches nodes one after the other from a place, then asks what comes behind.
    fn sequence(&mut self, nodes: &[Node], at: usize, then: Then<'_, 's>) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return false;
        }
        let Some((first, rest)) = nodes.split_first() else { return then(self, at) };
        self.node(first, at, &mut |search, at| search.sequence(rest, at, then))
    }

    fn node(&mut self, node: &Node, at: usize, then: Then<'_, 's>) -> bool {
        match node {
            Node::Start => at == 0 && then(self, at),
            Node::End => at == self.text.len() && then(self, at),
            Node::One(class) => self.text.get(at).is_some_and(|c| class.has(*c)) && then(self, at + 1),
            Node::Group(alternatives) => alternatives.iter().any(|nodes| self.sequence(nodes, at, then)),
            Node::Repeat { node, least, most } => self.repeat(node, (*least, *most), at, then),
        }
    }

    fn repeat(&mut self, node: &Node, (least, most): (usize, usize), at: usize, then: Then<'_, 's>) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return false;
        }
        let more = most > 0
            && self.node(node, at, &mut |search, next| {
                // A repeat that takes nothing would go on for ever, and can be taken as often as is asked.
                if next == at {
                    return least > 0 && then(search, next);
                }
                search.repeat(node, (least.saturating_sub(1), most.saturating_sub(1)), next, then)
            });
        more || (least == 0 && then(self, at))
    }
}

impl Class {
    fn has(&self, character: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&character)) != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_as_they_should() {
        for (pattern, yes, no) in [
            ("^[a-z]+$", "abc", "aBc"),
            ("^\\d{4}-\\d{2}-\\d{2}$", "2026-03-14", "2026-3-14"),
            ("^(red|green)$", "green", "greens"),
            ("b.d", "a bad idea", "a bd idea"),
            ("^[^\\s@]+@[^\\s@]+$", "a@b", "a b@c"),
            ("^INC-[0-9]{4,}$", "INC-20261", "INC-202"),
            ("^a?b*c+?$", "bbcc", "aab"),
            ("^(?:ab){2}$", "abab", "ab"),
            ("^[\\w.-]+$", "a-b.c_d", "a b"),
            ("^$", "", "a"),
            ("^(a*)*$", "aaaa", "aab"),
        ] {
            let read = Pattern::read(pattern).unwrap();
            assert!(read.matches(yes), "{pattern} {yes}");
            assert!(!read.matches(no), "{pattern} {no}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for pattern in ["(?=a)", "(a", "a)", "[a", "*a", "\\1", "a{x}", "\\p{L}"] {
            assert_eq!(Pattern::read(pattern).unwrap_err().kind(), ErrorKind::Unsupported, "{pattern}");
        }
    }

    #[test]
    fn a_match_without_end_is_given_up() {
        let text = "a".repeat(60) + "b";
        assert!(!Pattern::read("^(a|a)*$").unwrap().matches(&text));
    }
}
