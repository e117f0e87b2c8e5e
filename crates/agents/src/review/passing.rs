//! The events of one answer on their way through guardrails: text as soon as it is safe, everything else when it is whole.
//!
//! What comes out adds up to the same answer, whatever pieces went in.

use std::collections::{BTreeMap, BTreeSet};

use motet_core::message::Opaque;
use motet_core::{FinishReason, Result, RunContext, StreamEvent};
use serde_json::Value;

use super::{VERDICT, Verdict};
use crate::guardrails::{Chunk, Flow, Place, Reviewer};

/// Events held while an answer is looked at.
pub(super) struct Passing {
    reviewer: Reviewer,
    context: RunContext,
    is_structured: bool,
    /// Names of the tools that the model may call.
    offered: Vec<String>,
    strands: Vec<Strand>,
    /// Arguments of calls that are not complete.
    calls: BTreeMap<u32, String>,
    /// Parts that are calls.
    called: BTreeSet<u32>,
    /// Held until it is known whether the part that they belong to was changed.
    opaque: Vec<(u32, Opaque)>,
    /// What must be told again when everything shown is void.
    facts: Vec<StreamEvent>,
    /// Parts that something was shown of.
    begun: BTreeSet<u32>,
    /// The first verdict by place in the message and among the guardrails.
    verdict: Option<((u32, usize), Verdict)>,
    is_finished: bool,
}

/// Text of one kind, which may span several parts.
struct Strand {
    kind: Kind,
    first: u32,
    last: u32,
    mode: Mode,
    flow: Flow,
    /// What is held back as a whole.
    held: Vec<Chunk>,
    /// Parts of a document that was changed.
    rewritten: BTreeSet<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Refusal,
}

/// How text is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Only white space has come.
    Unknown,
    /// Piece by piece.
    Flowing,
    /// As JSON, when it is whole.
    Document,
}

impl Passing {
    pub(super) fn new(
        reviewer: Reviewer,
        context: RunContext,
        is_structured: bool,
        offered: Vec<String>,
    ) -> Self {
        Self {
            reviewer,
            context,
            is_structured,
            offered,
            strands: Vec::new(),
            calls: BTreeMap::new(),
            called: BTreeSet::new(),
            opaque: Vec::new(),
            facts: Vec::new(),
            begun: BTreeSet::new(),
            verdict: None,
            is_finished: false,
        }
    }

    /// Takes an event and gives what may be told of it, and of what was held back before it.
    pub(super) async fn take(&mut self, event: StreamEvent) -> Result<Vec<StreamEvent>> {
        match event {
            StreamEvent::TextDelta { part, text } => self.text(Kind::Text, part, text).await,
            StreamEvent::ReasoningDelta { part, text } => self.text(Kind::Reasoning, part, text).await,
            StreamEvent::RefusalDelta { part, text } => self.text(Kind::Refusal, part, text).await,
            StreamEvent::ToolCallStarted { part, id, name, minted } => {
                let name = self.tool_name(part, name).await?;
                self.calls.insert(part, String::new());
                self.called.insert(part);
                self.begun.insert(part);
                Ok(self.shown(vec![StreamEvent::ToolCallStarted { part, id, name, minted }]))
            }
            StreamEvent::ToolCallDelta { part, arguments } => {
                let Some(held) = self.calls.get_mut(&part) else {
                    return Ok(self.shown(vec![StreamEvent::ToolCallDelta { part, arguments }]));
                };
                held.push_str(&arguments);
                Ok(Vec::new())
            }
            StreamEvent::ToolCallEnded { part } => self.end_call(part).await,
            StreamEvent::PartOpaque { part, opaque } => {
                self.opaque.push((part, opaque));
                if self.is_finished { self.release_opaque().await } else { Ok(Vec::new()) }
            }
            StreamEvent::NativePart { part, mut opaque } => {
                self.value(part, &mut opaque.payload).await?;
                self.begun.insert(part);
                Ok(self.shown(vec![StreamEvent::NativePart { part, opaque }]))
            }
            StreamEvent::ImagePart { part, image } => {
                self.begun.insert(part);
                Ok(self.shown(vec![StreamEvent::ImagePart { part, image }]))
            }
            StreamEvent::Metadata { name, mut value } => {
                self.value(u32::MAX, &mut value).await?;
                Ok(self.fact(StreamEvent::Metadata { name, value }))
            }
            event @ (StreamEvent::ResponseStarted { .. }
            | StreamEvent::AnsweredBy { .. }
            | StreamEvent::Usage { .. }) => Ok(self.fact(event)),
            StreamEvent::Finished { reason, raw } => self.finish(reason, raw).await,
            StreamEvent::OutputDiscarded { .. } => {
                let offered = std::mem::take(&mut self.offered);
                let (reviewer, context) = (self.reviewer.clone(), self.context.clone());
                *self = Self::new(reviewer, context, self.is_structured, offered);
                Ok(vec![event])
            }
            other => Ok(vec![other]),
        }
    }

    /// Gives events that show something of the answer, unless nothing of it may be shown.
    fn shown(&self, events: Vec<StreamEvent>) -> Vec<StreamEvent> {
        if self.verdict.is_some() { Vec::new() } else { events }
    }

    fn fact(&mut self, event: StreamEvent) -> Vec<StreamEvent> {
        self.facts.push(event.clone());
        vec![event]
    }

    /// Notes a verdict; the one on what stands first counts, whichever comes first.
    fn consider(&mut self, part: u32, verdict: Option<(usize, Verdict)>) {
        let Some((guardrail, verdict)) = verdict else { return };
        let rank = (part, guardrail);
        if self.verdict.as_ref().is_none_or(|(first, _)| rank < *first) {
            self.verdict = Some((rank, verdict));
        }
    }

    /// Tells whether what is said of a part can still change what becomes of the answer.
    fn matters(&self, part: u32) -> bool {
        self.verdict.as_ref().is_none_or(|((first, _), _)| part <= *first)
    }

    async fn text(&mut self, kind: Kind, part: u32, text: String) -> Result<Vec<StreamEvent>> {
        let place = self.strand(kind, part);
        let mut events = Vec::new();
        if self.begun.insert(part) {
            // Keeps the part's place, as what belongs to it may come before its text is safe.
            events.push(delta(kind, (part, String::new())));
        }
        let Some(strand) = self.strands.get_mut(place) else { return Ok(events) };
        let matters = self.verdict.as_ref().is_none_or(|((first, _), _)| strand.first <= *first);
        if matters && !self.is_finished {
            let chunks = strand.push(&self.reviewer, &self.context, (part, text)).await?;
            events.extend(chunks.into_iter().map(|chunk| delta(kind, chunk)));
            let (first, verdict) = (strand.first, strand.flow.verdict().cloned());
            self.consider(first, verdict);
        }
        Ok(self.shown(events))
    }

    /// Finds the strand that a part goes on with. One that comes after a later part is a text of its own.
    fn strand(&mut self, kind: Kind, part: u32) -> usize {
        let strands = self.strands.iter().enumerate();
        let open = strands.filter(|(_, strand)| strand.kind == kind && strand.last <= part);
        if let Some((place, _)) = open.max_by_key(|(_, strand)| strand.last) {
            if let Some(strand) = self.strands.get_mut(place) {
                strand.last = part;
            }
            return place;
        }
        let mode = match kind {
            Kind::Text if self.is_structured => Mode::Document,
            Kind::Text => Mode::Unknown,
            Kind::Reasoning | Kind::Refusal => Mode::Flowing,
        };
        let flow = Flow::new(&self.reviewer, Place::Output);
        self.strands.push(Strand {
            kind,
            first: part,
            last: part,
            mode,
            flow,
            held: Vec::new(),
            rewritten: BTreeSet::new(),
        });
        self.strands.len() - 1
    }

    /// Looks at the name of a tool that does not exist, which a model may have made of anything.
    async fn tool_name(&mut self, part: u32, name: String) -> Result<String> {
        if self.offered.contains(&name) {
            return Ok(name);
        }
        let seen = self.reviewer.text(&self.context, Place::ToolArguments, &name).await?;
        self.consider(part, seen.verdict);
        Ok(seen.text.unwrap_or(name))
    }

    async fn end_call(&mut self, part: u32) -> Result<Vec<StreamEvent>> {
        let Some(arguments) = self.calls.remove(&part) else {
            return Ok(self.shown(vec![StreamEvent::ToolCallEnded { part }]));
        };
        if !self.matters(part) {
            return Ok(Vec::new());
        }
        let seen = self.reviewer.document(&self.context, Place::ToolArguments, &arguments).await?;
        self.consider(part, seen.verdict);
        let arguments = seen.text.unwrap_or(arguments);
        Ok(self
            .shown(vec![StreamEvent::ToolCallDelta { part, arguments }, StreamEvent::ToolCallEnded { part }]))
    }

    /// Looks at every string within a value.
    async fn value(&mut self, part: u32, value: &mut Value) -> Result<bool> {
        let (is_changed, verdict) = self.reviewer.value(&self.context, Place::Output, value).await?;
        self.consider(part, verdict);
        Ok(is_changed)
    }

    async fn finish(&mut self, reason: FinishReason, raw: Option<String>) -> Result<Vec<StreamEvent>> {
        let mut events = Vec::new();
        let mut order: Vec<_> = (0..self.strands.len()).collect();
        order.sort_by_key(|place| self.strands.get(*place).map(|strand| strand.first));
        for place in order {
            let Some(strand) = self.strands.get_mut(place) else { continue };
            if self.verdict.as_ref().is_some_and(|((first, _), _)| *first < strand.first) {
                continue;
            }
            let (kind, first) = (strand.kind, strand.first);
            let (chunks, verdict) = strand.finish(&self.reviewer, &self.context).await?;
            events.extend(chunks.into_iter().map(|chunk| delta(kind, chunk)));
            self.consider(first, verdict);
        }
        while let Some(part) = self.calls.keys().next().copied() {
            events.extend(self.end_call(part).await?);
        }
        events.extend(self.release_opaque().await?);
        self.is_finished = true;
        if let Some((_, verdict)) = self.verdict.clone() {
            return Ok(self.voided(&verdict, raw));
        }
        events.push(StreamEvent::Finished { reason, raw });
        Ok(events)
    }

    /// Gives what providers need back with parts; what belongs to a text that was changed does not fit it any more.
    async fn release_opaque(&mut self) -> Result<Vec<StreamEvent>> {
        let mut events = Vec::new();
        for (part, mut opaque) in std::mem::take(&mut self.opaque) {
            let is_stale = self.strands.iter().any(|strand| strand.has_changed(part));
            let is_changed = self.value(part, &mut opaque.payload).await?;
            // A provider may refuse a call without what belongs to it; a text goes without.
            if !(is_stale || is_changed && !self.called.contains(&part)) {
                events.push(StreamEvent::PartOpaque { part, opaque });
            }
        }
        Ok(self.shown(events))
    }

    /// Gives the answer of which nothing may be shown but that it was held back.
    fn voided(&mut self, verdict: &Verdict, raw: Option<String>) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        if !self.begun.is_empty() {
            events.push(StreamEvent::OutputDiscarded { error: Box::new(verdict.error().report()) });
            events.append(&mut self.facts);
        }
        events.push(StreamEvent::TextDelta { part: 0, text: verdict.notice() });
        let value = serde_json::to_value(verdict).unwrap_or_default();
        events.push(StreamEvent::Metadata { name: VERDICT.to_owned(), value });
        events.push(StreamEvent::Finished { reason: FinishReason::ContentFilter, raw });
        events
    }
}

impl Strand {
    async fn push(&mut self, reviewer: &Reviewer, context: &RunContext, chunk: Chunk) -> Result<Vec<Chunk>> {
        match self.mode {
            Mode::Flowing => self.flow.push(reviewer, context, chunk).await,
            Mode::Document => {
                self.held.push(chunk);
                Ok(Vec::new())
            }
            Mode::Unknown => {
                let first = chunk.1.trim_start().chars().next();
                self.held.push(chunk);
                match first {
                    None => Ok(Vec::new()),
                    Some('{' | '[') => {
                        self.mode = Mode::Document;
                        Ok(Vec::new())
                    }
                    Some(_) => {
                        self.mode = Mode::Flowing;
                        self.flow_on(reviewer, context).await
                    }
                }
            }
        }
    }

    /// Gives the rest of the text, which is whole.
    async fn finish(
        &mut self,
        reviewer: &Reviewer,
        context: &RunContext,
    ) -> Result<(Vec<Chunk>, Option<(usize, Verdict)>)> {
        if self.mode == Mode::Document {
            let whole: String = self.held.iter().map(|(_, text)| text.as_str()).collect();
            let seen = reviewer.document(context, Place::Output, &whole).await?;
            if let Some(text) = seen.text {
                self.rewritten = std::mem::take(&mut self.held).into_iter().map(|(part, _)| part).collect();
                return Ok((vec![(self.first, text)], seen.verdict));
            }
            return Ok((self.held.clone(), seen.verdict));
        }
        let mut chunks = self.flow_on(reviewer, context).await?;
        chunks.extend(self.flow.finish(reviewer, context).await?);
        Ok((chunks, self.flow.verdict().cloned()))
    }

    async fn flow_on(&mut self, reviewer: &Reviewer, context: &RunContext) -> Result<Vec<Chunk>> {
        let mut chunks = Vec::new();
        for chunk in std::mem::take(&mut self.held) {
            chunks.extend(self.flow.push(reviewer, context, chunk).await?);
        }
        Ok(chunks)
    }

    fn has_changed(&self, part: u32) -> bool {
        self.flow.has_changed(part) || self.rewritten.contains(&part)
    }
}

fn delta(kind: Kind, (part, text): Chunk) -> StreamEvent {
    match kind {
        Kind::Text => StreamEvent::TextDelta { part, text },
        Kind::Reasoning => StreamEvent::ReasoningDelta { part, text },
        Kind::Refusal => StreamEvent::RefusalDelta { part, text },
    }
}
