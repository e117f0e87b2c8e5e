//! Finds the first place in which two requests differ, and tells it so that a person sees it at once.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::message::Message;
use crate::request::ChatRequest;

/// Characters that are shown on either side of where texts part.
const SHOWN: usize = 40;

/// The first place in which something differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Where, such as `message 2 (user)` or `max_tokens`.
    pub place: String,
    /// What stands there now; `None` where there is nothing.
    pub now: Option<String>,
    /// What was recorded there; `None` where there was nothing.
    pub recorded: Option<String>,
}

impl Difference {
    /// Tells of two texts that differ in a place; long ones are cut down to what stands around the first difference.
    #[must_use]
    pub fn of_texts(place: &str, now: &str, recorded: &str) -> Option<Self> {
        texts(place, now, recorded)
    }

    /// Tells of two texts that differ in a place, whole.
    #[must_use]
    pub fn of_words(place: &str, now: &str, recorded: &str) -> Option<Self> {
        let whole = |text: &str| Some(text.to_owned());
        (now != recorded).then(|| Self {
            place: place.to_owned(),
            now: whole(now),
            recorded: whole(recorded),
        })
    }

    /// Puts the place below a larger one, whose name ends as is fitting.
    #[must_use]
    pub fn below(self, place: &str) -> Self {
        Self { place: format!("{place}{}", self.place), ..self }
    }

    /// Finds where two values differ first; `None` where they are equal.
    #[must_use]
    pub fn between(place: &str, now: Option<&Value>, recorded: Option<&Value>) -> Option<Self> {
        match (now, recorded) {
            (Some(now), Some(recorded)) => values(place, now, recorded),
            (None, None) => None,
            _ => Some(Self {
                place: place.to_owned(),
                now: now.map(|value| shortened(&shown(value), 0)),
                recorded: recorded.map(|value| shortened(&shown(value), 0)),
            }),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.now, &self.recorded) {
            (Some(now), Some(recorded)) => {
                write!(f, "{} is `{now}` and was `{recorded}`", self.place)
            }
            (Some(now), None) => write!(f, "{} is `{now}` and was not there", self.place),
            (None, Some(recorded)) => write!(f, "{} is not there and was `{recorded}`", self.place),
            (None, None) => write!(f, "{} differs", self.place),
        }
    }
}

/// Finds where a request differs first from a recorded one, messages first, and the models left aside.
#[must_use]
pub fn difference(now: &ChatRequest, recorded: &ChatRequest) -> Option<Difference> {
    let longer = now.messages.len().max(recorded.messages.len());
    let of_messages = (0..longer).find_map(|place| {
        let (new, old) = (now.messages.get(place), recorded.messages.get(place));
        messages(place, new, old)
    });
    of_messages.or_else(|| {
        let options = |request: &ChatRequest| {
            let mut value = serde_json::to_value(request).unwrap_or_default();
            if let Some(fields) = value.as_object_mut() {
                fields.shift_remove("model");
                fields.shift_remove("messages");
            }
            value
        };
        values("", &options(now), &options(recorded))
    })
}

fn messages(place: usize, now: Option<&Message>, recorded: Option<&Message>) -> Option<Difference> {
    if now == recorded {
        return None;
    }
    let role = now.or(recorded).map(role).unwrap_or_default();
    let place = format!("message {} ({role})", place + 1);
    let text = |message: &Message| match message.parts.as_slice() {
        [part] => part.as_text().map(str::to_owned),
        _ => None,
    };
    let same_role = now.map(|message| message.role) == recorded.map(|message| message.role);
    match (now.and_then(text), recorded.and_then(text)) {
        (Some(now), Some(recorded)) if same_role => texts(&place, &now, &recorded),
        _ => {
            let value = |message: &Message| serde_json::to_value(message).unwrap_or_default();
            let (now, recorded) = (now.map(value), recorded.map(value));
            Difference::between(&place, now.as_ref(), recorded.as_ref())
        }
    }
}

fn role(message: &Message) -> String {
    serde_json::to_value(message.role)
        .ok()
        .and_then(|role| role.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn values(place: &str, now: &Value, recorded: &Value) -> Option<Difference> {
    if now == recorded {
        return None;
    }
    match (now, recorded) {
        (Value::Object(new), Value::Object(old)) => {
            let names = new.keys().chain(old.keys().filter(|name| !new.contains_key(*name)));
            let path = |name: &str| match place {
                "" => name.to_owned(),
                place => format!("{place}.{name}"),
            };
            names.into_iter().find_map(|name| Difference::between(&path(name), new.get(name), old.get(name)))
        }
        (Value::Array(new), Value::Array(old)) => (0..new.len().max(old.len())).find_map(|index| {
            Difference::between(&format!("{place}[{index}]"), new.get(index), old.get(index))
        }),
        (Value::String(now), Value::String(recorded)) => texts(place, now, recorded),
        _ => Some(Difference {
            place: place.to_owned(),
            now: Some(shortened(&now.to_string(), 0)),
            recorded: Some(shortened(&recorded.to_string(), 0)),
        }),
    }
}

fn texts(place: &str, now: &str, recorded: &str) -> Option<Difference> {
    if now == recorded {
        return None;
    }
    let same = now.chars().zip(recorded.chars()).take_while(|(new, old)| new == old).count();
    Some(Difference {
        place: place.to_owned(),
        now: Some(shortened(now, same)),
        recorded: Some(shortened(recorded, same)),
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Cuts a text down to what stands around a character.
fn shortened(text: &str, around: usize) -> String {
    let from = around.saturating_sub(SHOWN);
    let mut short: String = text.chars().skip(from).take(2 * SHOWN).collect();
    if from > 0 {
        short.insert(0, '…');
    }
    if text.chars().nth(from + 2 * SHOWN).is_some() {
        short.push('…');
    }
    short
}
