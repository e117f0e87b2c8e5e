//! Text that streams through guardrails, each of which shows the next what nothing that follows can change.
//!
//! What comes out does not depend on how the text was cut into pieces.

use std::collections::BTreeSet;

use motet_core::{Result, RunContext};

use super::reviewer::Reviewer;
use super::{CONTEXT, Finding, Place, Remedy};
use crate::review::Verdict;

/// A piece of text and the part of the message it stands in.
pub(crate) type Chunk = (u32, String);

/// One text on its way, which may span several parts of a message.
pub(crate) struct Flow {
    place: Place,
    stages: Vec<Stage>,
    verdict: Option<(usize, Verdict)>,
    changed: BTreeSet<u32>,
}

/// The text as one guardrail sees it.
struct Stage {
    guardrail: usize,
    /// The end of what passed, then what is held back.
    buffer: String,
    /// Where in the buffer the text of a part begins.
    marks: Vec<(usize, u32)>,
    /// Where what is held back begins.
    held: usize,
    /// Characters that passed.
    passed: usize,
    is_told: bool,
}

/// What a stage lets pass.
struct Output {
    chunks: Vec<Chunk>,
    stopped: Option<Remedy>,
}

impl Flow {
    pub(crate) fn new(reviewer: &Reviewer, place: Place) -> Self {
        let stages = reviewer.at(place).map(Stage::new).collect();
        Self { place, stages, verdict: None, changed: BTreeSet::new() }
    }

    /// Takes the next piece and gives what may be shown.
    pub(crate) async fn push(
        &mut self,
        reviewer: &Reviewer,
        context: &RunContext,
        chunk: Chunk,
    ) -> Result<Vec<Chunk>> {
        self.advance(reviewer, context, vec![chunk], false).await
    }

    /// Gives what is left of the text, which is whole now.
    pub(crate) async fn finish(&mut self, reviewer: &Reviewer, context: &RunContext) -> Result<Vec<Chunk>> {
        self.advance(reviewer, context, Vec::new(), true).await
    }

    /// Gives the first guardrail that lets nothing pass.
    pub(crate) fn verdict(&self) -> Option<&(usize, Verdict)> {
        self.verdict.as_ref()
    }

    /// Tells whether the text of a part was changed.
    pub(crate) fn has_changed(&self, part: u32) -> bool {
        self.changed.contains(&part)
    }

    async fn advance(
        &mut self,
        reviewer: &Reviewer,
        context: &RunContext,
        mut chunks: Vec<Chunk>,
        is_whole: bool,
    ) -> Result<Vec<Chunk>> {
        for (place, stage) in self.stages.iter_mut().enumerate() {
            let guardrail = stage.guardrail;
            stage.take(chunks);
            let output = stage.release(reviewer, context, (self.place, is_whole), &mut self.changed).await?;
            chunks = output.chunks;
            if let Some(remedy) = output.stopped {
                // Guardrails before this one look on: what they say of the rest counts for more.
                self.verdict = reviewer.verdict(guardrail, &remedy).map(|verdict| (guardrail, verdict));
                self.stages.truncate(place);
                break;
            }
        }
        Ok(if self.verdict.is_some() { Vec::new() } else { chunks })
    }
}

impl Stage {
    fn new(guardrail: usize) -> Self {
        Self { guardrail, buffer: String::new(), marks: Vec::new(), held: 0, passed: 0, is_told: false }
    }

    fn take(&mut self, chunks: Vec<Chunk>) {
        for (part, text) in chunks {
            if self.marks.last().is_none_or(|(_, last)| *last != part) {
                self.marks.push((self.buffer.len(), part));
            }
            self.buffer.push_str(&text);
        }
    }

    /// Lets pass what nothing that follows can change.
    async fn release(
        &mut self,
        reviewer: &Reviewer,
        context: &RunContext,
        (place, is_whole): (Place, bool),
        changed: &mut BTreeSet<u32>,
    ) -> Result<Output> {
        let mut output = Output { chunks: Vec::new(), stopped: None };
        let end = self.buffer.len();
        if self.held >= end || !is_whole && reviewer.is_watched() {
            return Ok(output);
        }
        let subject = reviewer.subject(place, &self.buffer, self.held, self.passed);
        let mut settled = if is_whole { end } else { reviewer.settled(self.guardrail, subject).min(end) };
        if settled <= self.held {
            return Ok(output);
        }
        let findings = reviewer.look(context, self.guardrail, subject).await?;
        let mut at = self.held;
        for Finding { span, remedy } in findings {
            if span.end > settled {
                settled = settled.min(span.start).max(at);
                break;
            }
            if !std::mem::replace(&mut self.is_told, true) {
                reviewer.tell(context, self.guardrail, place, &remedy);
            }
            let Remedy::Replace(replacement) = remedy else {
                output.stopped = Some(remedy);
                return Ok(output);
            };
            self.copy(at..span.start, &mut output.chunks);
            let part = self.part_at(span.start);
            changed.extend(part..=self.part_at(span.end.saturating_sub(1)));
            output.chunks.push((part, replacement));
            at = span.end;
        }
        self.copy(at..settled, &mut output.chunks);
        self.pass(settled);
        Ok(output)
    }

    fn part_at(&self, byte: usize) -> u32 {
        let marks = self.marks.iter().rev();
        marks.clone().find(|(start, _)| *start <= byte).map_or(0, |(_, part)| *part)
    }

    /// Copies a stretch of the text, each part's piece by itself.
    fn copy(&self, span: std::ops::Range<usize>, chunks: &mut Vec<Chunk>) {
        let mut at = span.start;
        while at < span.end {
            let next = self.marks.iter().map(|(start, _)| *start).find(|start| *start > at);
            let end = next.unwrap_or(span.end).min(span.end);
            chunks.push((self.part_at(at), self.buffer.get(at..end).unwrap_or_default().to_owned()));
            at = end;
        }
    }

    /// Forgets what passed, but for what gives the rest its context.
    fn pass(&mut self, settled: usize) {
        self.passed += self.buffer.get(self.held..settled).map_or(0, |text| text.chars().count());
        let cut = self.buffer.floor_char_boundary(settled.saturating_sub(CONTEXT));
        self.buffer.drain(..cut);
        self.held = settled - cut;
        let current = self.part_at(cut);
        self.marks.retain_mut(|(start, part)| {
            let is_needed = *start > cut || *part == current;
            *start = start.saturating_sub(cut);
            is_needed
        });
    }
}
