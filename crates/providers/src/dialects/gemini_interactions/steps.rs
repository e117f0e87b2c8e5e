//! The steps of an answer: thoughts, output, calls of tools, and what the provider ran itself.
//!
//! A part's payload holds what goes back with its step: its `signature`.

use motet_core::StreamEvent;
use motet_core::message::{Media, MediaSource, Opaque};
use serde_json::{Map, Value};

use super::{taken, text};
use crate::dialect::call_ids;

/// The steps told so far.
#[derive(Default)]
pub(super) struct Steps {
    seed: u64,
    calls: usize,
    /// Place of the next part.
    next: u32,
    open: Vec<Step>,
    annotations: Vec<Value>,
}

/// A step that is not complete.
struct Step {
    index: i64,
    kind: Kind,
    fields: Map<String, Value>,
    /// The part that further text belongs to.
    part: Option<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Thought,
    Output,
    Call,
    /// What came before the answer and is echoed.
    Echo,
    /// A step that only the provider understands.
    Native,
}

impl Steps {
    pub(super) fn set_seed(&mut self, id: &str) {
        self.seed = call_ids::fold(call_ids::FOLD_START, id.as_bytes());
    }

    pub(super) fn has_calls(&self) -> bool {
        self.calls > 0
    }

    pub(super) fn take_annotations(&mut self) -> Option<Value> {
        let told = std::mem::take(&mut self.annotations);
        (!told.is_empty()).then_some(Value::Array(told))
    }

    /// Takes a step as it begins; that of a plain answer is whole.
    pub(super) fn start(&mut self, index: i64, step: Value, provider: &str, out: &mut Vec<StreamEvent>) {
        self.stop(index, provider, out);
        let Value::Object(mut fields) = step else { return };
        let kind = match fields.get("type").and_then(Value::as_str) {
            Some("thought") => Kind::Thought,
            Some("model_output") => Kind::Output,
            Some("function_call") => Kind::Call,
            Some("user_input" | "function_result") | None => Kind::Echo,
            Some(_) => Kind::Native,
        };
        let shown = match kind {
            Kind::Thought => fields.remove("summary"),
            Kind::Output => fields.remove("content"),
            Kind::Call | Kind::Echo | Kind::Native => None,
        };
        let mut step = Step { index, kind, fields, part: None };
        match (kind, shown) {
            (_, Some(Value::Array(pieces))) => {
                for piece in pieces {
                    self.piece(&mut step, piece, out);
                }
            }
            (Kind::Call, _) => self.begin_call(&mut step, out),
            // Their parts may come when they end, and yet stand where they began.
            (Kind::Thought | Kind::Native, _) => step.part = Some(self.place()),
            (Kind::Output | Kind::Echo, _) => {}
        }
        self.open.push(step);
    }

    /// Takes more of a step.
    pub(super) fn delta(&mut self, index: i64, delta: Value, provider: &str, out: &mut Vec<StreamEvent>) {
        let kind = text(&delta, "type").unwrap_or_default().to_owned();
        let place = if kind.starts_with("arguments") {
            // Such a piece may name the place of the thought before the call.
            let fits = |step: &Step| step.kind == Kind::Call;
            let exact = self.open.iter().position(|step| step.index == index && fits(step));
            exact.or_else(|| self.open.iter().rposition(fits))
        } else {
            self.open.iter().position(|step| step.index == index)
        };
        if place.is_none() {
            // A piece of a step that was not announced tells by itself what it belongs to.
            let step_type = match kind.as_str() {
                "text" | "image" => "model_output",
                "thought_summary" | "thought_signature" => "thought",
                _ => return,
            };
            self.start(index, serde_json::json!({"type": step_type}), provider, out);
        }
        let place = place.unwrap_or(self.open.len().saturating_sub(1));
        if place >= self.open.len() {
            return;
        }
        let mut step = self.open.remove(place);
        self.grow(&mut step, &kind, delta, out);
        self.open.insert(place, step);
    }

    fn grow(&mut self, step: &mut Step, kind: &str, mut delta: Value, out: &mut Vec<StreamEvent>) {
        match (step.kind, kind) {
            (Kind::Call, "arguments_delta" | "arguments") => {
                let told = ["arguments", "partial_arguments"].into_iter().find_map(|name| text(&delta, name));
                let arguments = told.unwrap_or_default();
                if let Some(part) = step.part.filter(|_| !arguments.is_empty()) {
                    step.fields.remove("arguments");
                    out.push(StreamEvent::ToolCallDelta { part, arguments: arguments.to_owned() });
                }
            }
            (_, "thought_signature") => {
                step.fields.insert("signature".to_owned(), taken(&mut delta, "signature"));
            }
            (Kind::Thought, "thought_summary") => self.piece(step, taken(&mut delta, "content"), out),
            (Kind::Output, "text_annotation_delta") => self.annotate(&mut delta),
            (Kind::Output, _) => self.piece(step, delta, out),
            (Kind::Native, _) => {
                for (name, value) in delta.as_object_mut().into_iter().flatten() {
                    if name != "type" {
                        step.fields.insert(name.clone(), value.take());
                    }
                }
            }
            _ => {}
        }
    }

    /// Ends a step.
    pub(super) fn stop(&mut self, index: i64, provider: &str, out: &mut Vec<StreamEvent>) {
        while let Some(place) = self.open.iter().position(|step| step.index == index) {
            let step = self.open.remove(place);
            self.end(step, provider, out);
        }
    }

    /// Ends the steps whose end was not told.
    pub(super) fn stop_all(&mut self, provider: &str, out: &mut Vec<StreamEvent>) {
        for step in std::mem::take(&mut self.open) {
            self.end(step, provider, out);
        }
    }

    fn end(&mut self, mut step: Step, provider: &str, out: &mut Vec<StreamEvent>) {
        let opaque = |payload: Value| Opaque { provider: provider.to_owned(), payload };
        if step.kind == Kind::Native {
            let opaque = opaque(Value::Object(step.fields));
            let part = step.part.unwrap_or_else(|| self.place());
            out.push(StreamEvent::NativePart { part, opaque });
            return;
        }
        if let (Kind::Call, Some(part)) = (step.kind, step.part)
            && let Some(arguments) = step.fields.get("arguments").filter(|value| !value.is_null())
        {
            out.push(StreamEvent::ToolCallDelta { part, arguments: arguments.to_string() });
        }
        let signature = step.fields.remove("signature").filter(|value| value.is_string());
        if let Some(signature) = signature.filter(|_| step.kind != Kind::Echo) {
            let part = step.part.unwrap_or_else(|| self.place());
            if step.kind == Kind::Output && step.part.is_none() {
                out.push(StreamEvent::TextDelta { part, text: String::new() });
            }
            let payload = opaque(serde_json::json!({"signature": signature}));
            out.push(StreamEvent::PartOpaque { part, opaque: payload });
        }
        if let (Kind::Call, Some(part)) = (step.kind, step.part) {
            out.push(StreamEvent::ToolCallEnded { part });
        }
    }

    fn place(&mut self) -> u32 {
        let place = self.next;
        self.next = self.next.saturating_add(1);
        place
    }

    fn begin_call(&mut self, step: &mut Step, out: &mut Vec<StreamEvent>) {
        let text = |name: &str| step.fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (id, name, part) = (text("id"), text("name"), self.place());
        let minted = id.is_empty();
        let seed = call_ids::fold(self.seed, name.as_bytes());
        let id = if minted { call_ids::minted(seed, self.calls) } else { id };
        self.calls += 1;
        step.part = Some(part);
        out.push(StreamEvent::ToolCallStarted { part, id, name, minted });
    }

    /// Takes a piece of a thought's summary or of the output.
    fn piece(&mut self, step: &mut Step, mut piece: Value, out: &mut Vec<StreamEvent>) {
        self.annotate(&mut piece);
        match text(&piece, "type") {
            Some("text") => {
                let text = text(&piece, "text").unwrap_or_default().to_owned();
                if text.is_empty() {
                    return;
                }
                let part = step.part.unwrap_or_else(|| self.place());
                step.part = Some(part);
                out.push(if step.kind == Kind::Thought {
                    StreamEvent::ReasoningDelta { part, text }
                } else {
                    StreamEvent::TextDelta { part, text }
                });
            }
            Some("image") if step.kind == Kind::Output => {
                let text = |name: &str| text(&piece, name).map(str::to_owned);
                let bytes = text("data").map(MediaSource::Base64);
                if let Some(source) = bytes.or_else(|| text("uri").map(MediaSource::Url)) {
                    let image = Media { media_type: text("mime_type"), source, name: None };
                    // What follows an image is a part of its own.
                    step.part = None;
                    out.push(StreamEvent::ImagePart { part: self.place(), image });
                }
            }
            _ => {}
        }
    }

    fn annotate(&mut self, piece: &mut Value) {
        if let Some(Value::Array(told)) = piece.get_mut("annotations").map(Value::take) {
            self.annotations.extend(told);
        }
    }
}
