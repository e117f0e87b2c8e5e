//! Takes JSON character by character and keeps what is known of its value.

use serde_json::{Map, Value};

/// As deep as a whole text may be nested to be read.
const MAX_DEPTH: usize = 127;

/// What has been read of a JSON text.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    /// The value, once it is whole.
    root: Option<Value>,
    /// Arrays and objects that are not closed yet, the outermost first.
    open: Vec<Container>,
    token: Token,
    broken: bool,
    changes: u64,
}

#[derive(Debug, Clone)]
enum Container {
    Array { items: Vec<Value>, expects: Expects },
    Object { fields: Map<String, Value>, key: Option<String>, expects: Expects },
}

/// What may come next within an array or object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// The first item or key, or the end.
    FirstOrEnd,
    /// An item or a key.
    Next,
    /// The colon behind a key.
    Colon,
    /// The value of a key.
    Value,
    /// A comma or the end.
    CommaOrEnd,
}

/// The text, number, or word that is being read.
#[derive(Debug, Clone, Default)]
enum Token {
    #[default]
    None,
    Text(Text),
    /// A number or one of `true`, `false`, and `null`.
    Bare(String),
}

#[derive(Debug, Clone, Default)]
struct Text {
    text: String,
    escape: Escape,
    /// The first half of a character that is written as two escapes.
    half: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    /// So many digits of a `\u` escape, and their value.
    Digits(u8, u32),
}

impl Reader {
    /// Counts the changes of the value.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn is_whole(&self) -> bool {
        self.root.is_some()
    }

    /// Gives what is known of the value.
    pub(super) fn value(&self) -> Option<Value> {
        if let Some(root) = &self.root {
            return Some(root.clone());
        }
        let mut inner = match &self.token {
            Token::Text(text) if !self.is_key() => Some(Value::String(text.text.clone())),
            _ => None,
        };
        for container in self.open.iter().rev() {
            inner = Some(match container {
                Container::Array { items, .. } => {
                    let mut items = items.clone();
                    items.extend(inner);
                    Value::Array(items)
                }
                Container::Object { fields, key, .. } => {
                    let mut fields = fields.clone();
                    if let (Some(key), Some(value)) = (key, inner) {
                        fields.insert(key.clone(), value);
                    }
                    Value::Object(fields)
                }
            });
        }
        inner
    }

    /// Takes the next character; of a text that is not JSON nothing more is taken.
    pub(super) fn take(&mut self, c: char) {
        if self.broken || self.root.is_some() {
            return;
        }
        match std::mem::take(&mut self.token) {
            Token::Text(text) => self.take_in_text(text, c),
            Token::Bare(mut bare) if is_bare(c) => {
                bare.push(c);
                self.token = Token::Bare(bare);
            }
            Token::Bare(bare) => {
                match serde_json::from_str(&bare) {
                    Ok(value) => {
                        self.changes += 1;
                        self.ended(value);
                    }
                    Err(_) => self.broken = true,
                }
                self.take(c);
            }
            Token::None => self.take_between(c),
        }
    }

    fn take_in_text(&mut self, mut text: Text, c: char) {
        match text.take(c) {
            Taken::Ended if self.is_key() => self.keyed(text.text),
            Taken::Ended => self.ended(Value::String(text.text)),
            Taken::Broken => {
                self.broken = true;
                self.token = Token::Text(text);
            }
            Taken::Grown => {
                self.changes += u64::from(!self.is_key());
                self.token = Token::Text(text);
            }
            Taken::Held => self.token = Token::Text(text),
        }
    }

    /// Takes a character that is not part of a text, number, or word.
    fn take_between(&mut self, c: char) {
        let expects = self.expects();
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '"' if matches!(expects, Expects::FirstOrEnd | Expects::Next | Expects::Value) => {
                self.changes += u64::from(!self.is_key());
                self.token = Token::Text(Text::default());
            }
            ':' if expects == Expects::Colon => self.expect(Expects::Value),
            ',' if expects == Expects::CommaOrEnd => self.expect(Expects::Next),
            ']' | '}' if matches!(expects, Expects::FirstOrEnd | Expects::CommaOrEnd) => self.close(c),
            '[' | '{' if self.takes_value() && self.open.len() < MAX_DEPTH => {
                let expects = Expects::FirstOrEnd;
                self.changes += 1;
                self.open.push(match c {
                    '[' => Container::Array { items: Vec::new(), expects },
                    _ => Container::Object { fields: Map::new(), key: None, expects },
                });
            }
            _ if is_bare(c) && self.takes_value() => self.token = Token::Bare(c.into()),
            _ => self.broken = true,
        }
    }

    fn close(&mut self, c: char) {
        match (self.open.pop(), c) {
            (Some(Container::Array { items, .. }), ']') => self.ended(Value::Array(items)),
            (Some(Container::Object { fields, .. }), '}') => self.ended(Value::Object(fields)),
            (other, _) => {
                self.open.extend(other);
                self.broken = true;
            }
        }
    }

    /// Puts a whole value where it belongs.
    fn ended(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Container::Array { items, .. }) => items.push(value),
            Some(Container::Object { fields, key, .. }) => {
                if let Some(key) = key.take() {
                    fields.insert(key, value);
                }
            }
        }
        self.expect(Expects::CommaOrEnd);
    }

    fn keyed(&mut self, text: String) {
        if let Some(Container::Object { key, .. }) = self.open.last_mut() {
            *key = Some(text);
        }
        self.expect(Expects::Colon);
    }

    fn expects(&self) -> Expects {
        match self.open.last() {
            None => Expects::Value,
            Some(Container::Array { expects, .. } | Container::Object { expects, .. }) => *expects,
        }
    }

    fn expect(&mut self, next: Expects) {
        if let Some(Container::Array { expects, .. } | Container::Object { expects, .. }) =
            self.open.last_mut()
        {
            *expects = next;
        }
    }

    /// Tells whether a text that stands here is a key.
    fn is_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Container::Object { expects: Expects::FirstOrEnd | Expects::Next, .. })
        )
    }

    fn takes_value(&self) -> bool {
        !self.is_key() && matches!(self.expects(), Expects::FirstOrEnd | Expects::Next | Expects::Value)
    }
}

/// What a character did to a text.
enum Taken {
    Grown,
    /// It waits for what belongs to it.
    Held,
    Ended,
    Broken,
}

impl Text {
    fn take(&mut self, c: char) -> Taken {
        match self.escape {
            Escape::None => match c {
                '"' if self.half.is_some() => Taken::Broken,
                '"' => Taken::Ended,
                '\\' => {
                    self.escape = Escape::Begun;
                    Taken::Held
                }
                '\0'..='\x1f' => Taken::Broken,
                _ if self.half.is_some() => Taken::Broken,
                _ => self.grow(c),
            },
            Escape::Begun if c == 'u' => {
                self.escape = Escape::Digits(0, 0);
                Taken::Held
            }
            Escape::Begun => {
                self.escape = Escape::None;
                match unescaped(c) {
                    Some(c) if self.half.is_none() => self.grow(c),
                    _ => Taken::Broken,
                }
            }
            Escape::Digits(count, value) => match c.to_digit(16) {
                None => Taken::Broken,
                Some(digit) if count < 3 => {
                    self.escape = Escape::Digits(count + 1, value * 16 + digit);
                    Taken::Held
                }
                Some(digit) => {
                    self.escape = Escape::None;
                    self.unit(value * 16 + digit)
                }
            },
        }
    }

    /// Takes a unit of UTF-16, two of which may make one character.
    fn unit(&mut self, unit: u32) -> Taken {
        match (self.half.take(), unit) {
            (None, 0xD800..=0xDBFF) => {
                self.half = Some(unit);
                Taken::Held
            }
            (Some(high), 0xDC00..=0xDFFF) => {
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (unit - 0xDC00);
                char::from_u32(code).map_or(Taken::Broken, |c| self.grow(c))
            }
            (None, _) => char::from_u32(unit).map_or(Taken::Broken, |c| self.grow(c)),
            (Some(_), _) => Taken::Broken,
        }
    }

    fn grow(&mut self, c: char) -> Taken {
        self.text.push(c);
        Taken::Grown
    }
}

fn unescaped(c: char) -> Option<char> {
    Some(match c {
        '"' | '\\' | '/' => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        _ => return None,
    })
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')
}
