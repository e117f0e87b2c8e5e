//! Masks secrets in what is exported: the configured keys, and whatever the user's expressions match.
//!
//! Masks every text there is, names of fields included, and numbers; only the format's own words and counts stay. A field
//! that is new in some later version is therefore masked too.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use motet_core::cassette::{Header, Line, MASK, Masked, RecordedTask};
use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::run_log::{Entry, Piece, Record, RecordV1, StepKind};
use motet_core::settings::Loaded;
use motet_core::store::Sequenced;
use motet_core::workflow::WorkflowSpec;
use motet_core::{Attribution, ChatRequest, ChatResponse, Message, ModelId, RunId, Secret};
use motet_providers::rows;
use motet_workflows::dag::plan;
use regex::Regex;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{CallDefinition, KIND};

mod words;

/// Length from which a secret is masked wherever it stands; a shorter one only as a word of its own.
const LONG: usize = 8;

/// Variables that hold secrets and are no provider's key.
const VARIABLES: &[&str] = &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// What is masked.
#[derive(Debug)]
pub struct Redaction {
    patterns: Vec<Regex>,
    /// Every form in which a secret may stand.
    secrets: Vec<Secret>,
    /// How many secrets there are.
    known: usize,
}

impl Redaction {
    /// Masks what these expressions match, and these secrets in whatever form they stand.
    ///
    /// # Errors
    /// `Configuration` naming the expression that cannot be read.
    pub fn new(patterns: &[String], secrets: impl IntoIterator<Item = Secret>) -> Result<Self> {
        let patterns = patterns.iter().map(|pattern| expression(pattern)).collect::<Result<_>>()?;
        let forms: Vec<Vec<Secret>> = secrets.into_iter().map(|secret| forms(&secret)).collect();
        let known = forms.iter().filter(|forms| !forms.is_empty()).count();
        Ok(Self { patterns, secrets: forms.into_iter().flatten().collect(), known })
    }

    /// Masks what the setting `record.redact` and these expressions match, and every key of the settings.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_settings(loaded: &Loaded, more: &[String]) -> Result<Self> {
        let patterns: Vec<String> = loaded.settings.record.redact.iter().chain(more).cloned().collect();
        Self::new(&patterns, secrets(loaded))
    }

    /// Masks a text.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if words::ALL.contains(&text) {
            return Cow::Borrowed(text);
        }
        // A JSON text, such as a tool's arguments, spells things otherwise than they are.
        let inner = text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str::<Value>(text));
        if let Some(Ok(value)) = inner {
            let masked = self.value(value.clone());
            if masked != value {
                return Cow::Owned(self.plain(&masked.to_string()).into_owned());
            }
        }
        self.plain(text)
    }

    fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut found: Vec<Range<usize>> =
            self.patterns.iter().flat_map(|pattern| pattern.find_iter(text)).map(|hit| hit.range()).collect();
        for secret in &self.secrets {
            let hits = text.match_indices(secret.expose()).map(|(start, hit)| start..start + hit.len());
            found.extend(hits.filter(|hit| hit.len() >= LONG || is_word(text, hit)));
        }
        found.retain(|range| !range.is_empty());
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable_by_key(|range| range.start);
        let (mut masked, mut at) = (String::with_capacity(text.len()), 0);
        for range in found {
            if range.start >= at {
                masked.push_str(text.get(at..range.start).unwrap_or_default());
                masked.push_str(MASK);
            }
            at = at.max(range.end);
        }
        masked.push_str(text.get(at..).unwrap_or_default());
        Cow::Owned(masked)
    }

    /// Masks every text in a value, and every number that is written so.
    #[must_use]
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => Value::Object(self.fields(fields)),
            Value::Number(number) => match self.plain(&number.to_string()) {
                Cow::Borrowed(_) => Value::Number(number),
                Cow::Owned(masked) => Value::String(masked),
            },
            other => other,
        }
    }

    fn fields(&self, fields: Map<String, Value>) -> Map<String, Value> {
        let mut masked = Map::new();
        for (name, value) in fields {
            let value = match (name.as_str(), value) {
                ("model" | "default_model", Value::String(model)) => Value::String(self.model(&model)),
                (_, value) => self.value(value),
            };
            let mut name = self.text(&name).into_owned();
            while masked.contains_key(&name) {
                name.push('+');
            }
            masked.insert(name, value);
        }
        masked
    }

    /// Masks the name of a model so that it stays one.
    fn model(&self, model: &str) -> String {
        match self.text(model) {
            Cow::Owned(_) if model.parse::<ModelId>().is_ok() => "redacted:redacted".to_owned(),
            masked => masked.into_owned(),
        }
    }

    /// Masks a value, but for some counts of the format's own, named by their paths.
    fn but_for(&self, mut value: Value, paths: &[&str]) -> Value {
        let kept: Vec<(&str, Value)> = paths
            .iter()
            .filter_map(|path| Some((*path, value.pointer_mut(path).map(Value::take)?)))
            .collect();
        let mut masked = self.value(value);
        for (path, value) in kept {
            if let Some(place) = masked.pointer_mut(path) {
                *place = value;
            }
        }
        masked
    }

    fn error(&self, error: ErrorReport) -> Result<ErrorReport> {
        let value = to_value(&error)?;
        readable(self.but_for(value, &["/status", "/retry_after", "/retry", "/limits"]), "an error")
    }

    /// Masks the first line of a cassette.
    ///
    /// # Errors
    /// `Configuration` when what is left of the definition cannot be read.
    pub(super) fn header(&self, header: Header) -> Result<Header> {
        let run = match self.text(header.run.as_str()) {
            Cow::Borrowed(_) => header.run.clone(),
            Cow::Owned(_) => "redacted".parse::<RunId>()?,
        };
        let expressions = self.patterns.len();
        let settings = self.fields(header.settings);
        if header.kind == plan::KIND {
            readable::<plan::RunSettings>(Value::Object(settings.clone()), "the run's settings")?;
        }
        Ok(Header {
            run,
            name: self.text(&header.name).into_owned(),
            definition: self.definition(&header.kind, header.definition)?,
            inputs: self.fields(header.inputs),
            settings,
            outputs: self.fields(header.outputs),
            masked: (expressions + self.known > 0).then_some(Masked { expressions, secrets: self.known }),
            ..header
        })
    }

    fn definition(&self, kind: &str, definition: Value) -> Result<Value> {
        match kind {
            KIND => {
                let counts = ["/max_repairs", "/request/sampling", "/request/max_tokens"];
                let masked = self.but_for(definition, &counts);
                readable::<CallDefinition>(masked.clone(), "the request").map(|_| masked)
            }
            plan::KIND => {
                let tasks = definition.get("tasks").and_then(Value::as_array).map_or(0, Vec::len);
                let mut counts = vec!["/max_parallel_tasks".to_owned()];
                counts.extend(
                    (0..tasks)
                        .flat_map(|task| ["retry", "timeout"].map(|field| format!("/tasks/{task}/{field}"))),
                );
                let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
                let masked = self.but_for(definition, &counts);
                readable::<WorkflowSpec>(masked.clone(), "the workflow").map(|_| masked)
            }
            _ => Ok(self.value(definition)),
        }
    }

    /// Masks a line after the first; `kind` is that of the step that a record belongs to.
    ///
    /// # Errors
    /// `Configuration` when what is left of an answer cannot be read.
    pub(super) fn line(&self, line: Line, kind: Option<StepKind>) -> Result<Line> {
        Ok(match line {
            Line::Task(task) => Line::Task(Box::new(RecordedTask {
                name: self.text(&task.name).into_owned(),
                output: task.output.map(|output| self.value(output)),
                error: task.error.map(|error| self.error(error)).transpose()?,
                ..*task
            })),
            Line::Piece { key, value } => Line::Piece { key, value: self.piece(value)? },
            Line::Record(sequenced) => {
                let Sequenced { seq, task, record } = *sequenced;
                Line::Record(Box::new(Sequenced { seq, task, record: self.record(record, kind)? }))
            }
            end @ Line::End { .. } => end,
        })
    }

    /// Masks a message, or the options of a request.
    fn piece(&self, value: Value) -> Result<Value> {
        let masked = self.but_for(value, &["/sampling", "/max_tokens"]);
        if masked.get("role").is_some() {
            return readable::<Message>(masked.clone(), "a message").map(|_| masked);
        }
        let mut whole = masked.clone();
        if let Some(fields) = whole.as_object_mut() {
            fields.insert("model".to_owned(), Value::from("redacted:redacted"));
            fields.insert("messages".to_owned(), Value::Array(Vec::new()));
        }
        readable::<ChatRequest>(whole, "a request").map(|_| masked)
    }

    fn record(&self, record: Record, kind: Option<StepKind>) -> Result<Record> {
        let (step, at) = (self.text(record.step()).into_owned(), record.at());
        let entry = match record.entry().clone() {
            Entry::Started { kind, request_hash, effect, label, mut request } => {
                for piece in request.iter_mut().flat_map(|request| request.pieces_mut()) {
                    if let Piece::First { value, .. } = piece {
                        *value = self.piece(value.take())?;
                    }
                }
                Entry::Started { kind, request_hash, effect, label: self.model(&label), request }
            }
            Entry::Finished { result } if kind == Some(StepKind::Model) => {
                let masked = self.but_for(result, &["/usage", "/cost"]);
                readable::<ChatResponse>(masked.clone(), "an answer")?;
                Entry::Finished { result: masked }
            }
            Entry::Finished { result } => Entry::Finished { result: self.value(result) },
            Entry::Failed { error } => Entry::Failed { error: Box::new(self.error(*error)?) },
            other => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    format!("an unknown entry is not exported: {other:?}"),
                ));
            }
        };
        let attribution = self.attribution(record.attribution().cloned().unwrap_or_default());
        Ok(Record::V1(RecordV1 { step, at, attribution: None, entry })
            .with_attribution(Some(&Arc::new(attribution))))
    }

    fn attribution(&self, mut attribution: Attribution) -> Attribution {
        let Attribution { tenant, agent, tool, tags, .. } = &mut attribution;
        for name in [tenant, agent, tool].into_iter().flatten() {
            *name = self.text(name).into_owned();
        }
        *tags = std::mem::take(tags)
            .into_iter()
            .map(|(name, value)| (self.text(&name).into_owned(), self.text(&value).into_owned()))
            .collect();
        attribution
    }
}

fn to_value(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "a value cannot be written as JSON").with_source(error)
    })
}

fn readable<T: DeserializeOwned>(masked: Value, what: &str) -> Result<T> {
    serde_json::from_value(masked).map_err(|error| {
        let message = format!("what the expressions mask leaves {what} unreadable: {error}");
        Error::new(ErrorKind::Configuration, message)
            .with_hint("make the expressions of `record.redact` and `--redact` match less")
    })
}

fn expression(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Error::new(
            ErrorKind::Configuration,
            format!("`{pattern}`, which is to be masked, is no regular expression: {reason}"),
        )
        .with_hint("correct it in the setting `record.redact` or the flag `--redact`")
    })
}

/// Tells whether what stands there is no part of a longer word.
fn is_word(text: &str, range: &Range<usize>) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let before = text.get(..range.start).and_then(|text| text.chars().next_back());
    let after = text.get(range.end..).and_then(|text| text.chars().next());
    !before.is_some_and(part) && !after.is_some_and(part)
}

/// Gives the forms in which a secret stands in texts: as it is, in JSON, and in an address.
fn forms(secret: &Secret) -> Vec<Secret> {
    let plain = secret.expose();
    if plain.is_empty() || rows::ALL.iter().any(|row| row.name == plain) {
        return Vec::new();
    }
    let json = serde_json::to_string(plain).unwrap_or_default();
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let percent = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => (byte as char).to_string(),
        other => format!("%{other:02X}"),
    };
    let address: String = plain.bytes().map(percent).collect();
    let lower = address.replace('%', "\u{0}").chars().collect::<String>();
    let lower = lower
        .split('\u{0}')
        .enumerate()
        .map(|(place, piece)| match (place, piece.split_at_checked(2)) {
            (0, _) | (_, None) => piece.to_owned(),
            (_, Some((digits, rest))) => format!("%{}{rest}", digits.to_ascii_lowercase()),
        })
        .collect::<String>();
    let mut forms = vec![plain.to_owned(), json, address, lower];
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().map(Secret::new).collect()
}

/// Gives everything in the settings that nobody must see.
fn secrets(loaded: &Loaded) -> Vec<Secret> {
    let settings = &loaded.settings;
    let names = rows::ALL.iter().flat_map(|row| row.key_names).chain(VARIABLES);
    let mut secrets: Vec<Secret> = names.filter_map(|name| loaded.variable(name)).collect();
    secrets.extend(password(&settings.store));
    for provider in settings.providers.values() {
        secrets.extend(provider.api_key.clone());
        secrets.extend(provider.keys.values().filter_map(|key| key.api_key.clone()));
        // Many headers say nothing secret, such as the name of a team.
        secrets.extend(provider.headers.values().filter(|value| value.expose().len() >= LONG).cloned());
        secrets.extend(provider.proxy.as_deref().and_then(password));
        secrets.extend(provider.base_url.as_deref().and_then(password));
    }
    secrets
}

/// Gives the password in an address.
fn password(url: &str) -> Option<Secret> {
    let whole = url.split_once("://")?.1;
    let place = whole.split(['/', '?', '#']).next().filter(|place| place.contains('@')).unwrap_or(whole);
    // A password may hold the sign that ends it.
    let (user, _) = place.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then(|| Secret::new(password))
}

#[cfg(test)]
mod tests;
