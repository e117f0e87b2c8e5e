//! Has the guardrails of an agent look at whole texts: hooks, time limits, failures, and JSON within texts are here.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt as _;
use motet_core::{ErrorKind, Result, RunContext, StreamEvent};
use serde_json::Value;

use super::{Entry, Finding, Guardrails, OnFailure, Place, Remedy, Subject, json};
use crate::hooks::{Hooks, Payload, Stage};
use crate::review::Verdict;

/// How deep JSON within strings of JSON is looked into.
const MAX_DEPTH: u32 = 4;

/// What became of a text.
#[derive(Debug, Default)]
pub(crate) struct Reviewed {
    /// The text that passes, where it is another.
    pub(crate) text: Option<String>,
    /// The place of the guardrail that lets nothing pass, and its verdict.
    pub(crate) verdict: Option<(usize, Verdict)>,
}

/// The guardrails of an agent, and the hooks that are told of them.
#[derive(Clone)]
pub(crate) struct Reviewer {
    entries: Arc<[Entry]>,
    hooks: Hooks,
}

impl Reviewer {
    pub(crate) fn new(guardrails: &Guardrails, hooks: &Hooks) -> Self {
        Self { entries: guardrails.0.clone().into(), hooks: hooks.clone() }
    }

    /// Gives the places of the guardrails that look at texts of a place.
    pub(super) fn at(&self, place: Place) -> impl Iterator<Item = usize> {
        let held = self.entries.iter().enumerate();
        held.filter(move |(_, entry)| entry.guardrail.holds_at(place)).map(|(index, _)| index)
    }

    /// Tells whether hooks want to see texts, which holds streams back until those are whole.
    pub(super) fn is_watched(&self) -> bool {
        self.hooks.wants(Stage::BeforeGuardrail) || self.hooks.wants(Stage::AfterGuardrail)
    }

    pub(super) fn settled(&self, index: usize, subject: Subject<'_>) -> usize {
        let settled =
            self.entries.get(index).map_or(subject.text.len(), |entry| entry.guardrail.settled(subject));
        subject.text.floor_char_boundary(settled)
    }

    pub(super) fn subject<'a>(
        &'a self,
        place: Place,
        text: &'a str,
        from: usize,
        passed: usize,
    ) -> Subject<'a> {
        Subject { place, text, from, passed, peers: &self.entries }
    }

    /// Has a guardrail look at a text; what it finds is in order and within the text.
    pub(super) async fn look(
        &self,
        context: &RunContext,
        index: usize,
        subject: Subject<'_>,
    ) -> Result<Vec<Finding>> {
        let Some(entry) = self.entries.get(index) else { return Ok(Vec::new()) };
        let (guardrail, place) = (entry.guardrail.name().to_owned(), subject.place.as_str().to_owned());
        if self.hooks.wants(Stage::BeforeGuardrail) {
            let (guardrail, place) = (guardrail.clone(), place.clone());
            let text = subject.rest().to_owned();
            self.hooks.call(context, Payload::BeforeGuardrail { guardrail, place, text }).await?;
        }
        let found = entry.look(context, subject).await?;
        if self.hooks.wants(Stage::AfterGuardrail) {
            let action = found.last().map_or("pass", |finding| action_of(&finding.remedy)).to_owned();
            self.hooks.call(context, Payload::AfterGuardrail { guardrail, place, action }).await?;
        }
        Ok(found)
    }

    /// Tells of what a guardrail does.
    pub(super) fn tell(&self, context: &RunContext, index: usize, place: Place, remedy: &Remedy) {
        let Some(entry) = self.entries.get(index) else { return };
        context.emit(&StreamEvent::GuardrailHit {
            guardrail: entry.guardrail.name().to_owned(),
            place: place.as_str().to_owned(),
            action: action_of(remedy).to_owned(),
        });
    }

    /// Makes a verdict of what a guardrail finds, where it lets nothing pass.
    pub(super) fn verdict(&self, index: usize, remedy: &Remedy) -> Option<Verdict> {
        let (reason, ask_again) = match remedy {
            Remedy::Replace(_) => return None,
            Remedy::Block(reason) => (reason.clone(), false),
            Remedy::AskAgain(reason) => (reason.clone(), true),
        };
        let guardrail = self.entries.get(index)?.guardrail.name().to_owned();
        Some(Verdict { guardrail, reason, ask_again })
    }

    /// Looks at a text, and into the JSON that it may be.
    pub(crate) async fn text(&self, context: &RunContext, place: Place, text: &str) -> Result<Reviewed> {
        self.review(context, place, text, Form::Text).await
    }

    /// Looks at a JSON document string by string; where it is none, also at the text as it is.
    pub(crate) async fn document(&self, context: &RunContext, place: Place, text: &str) -> Result<Reviewed> {
        self.review(context, place, text, Form::Document).await
    }

    async fn review(&self, context: &RunContext, place: Place, text: &str, form: Form) -> Result<Reviewed> {
        let mut reviewed = Reviewed::default();
        if text.is_empty() {
            return Ok(reviewed);
        }
        for index in self.at(place) {
            let now = reviewed.text.as_deref().unwrap_or(text);
            let look = Look { reviewer: self, context, place, index };
            let is_document = self.entries.get(index).is_some_and(|entry| entry.guardrail.reads_documents());
            let seen = if is_document { look.plain(now).await? } else { look.deep(now, form, 0).await? };
            if seen.verdict.is_some() {
                return Ok(seen);
            }
            reviewed.text = seen.text.or(reviewed.text);
        }
        Ok(reviewed)
    }

    /// Looks at every string within a value and changes what must not pass; tells whether anything was changed.
    pub(crate) async fn value(
        &self,
        context: &RunContext,
        place: Place,
        value: &mut Value,
    ) -> Result<(bool, Option<(usize, Verdict)>)> {
        let mut is_changed = false;
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            match value {
                Value::Array(items) => open.extend(items.iter_mut()),
                Value::Object(members) => open.extend(members.values_mut()),
                Value::String(text) => {
                    let Reviewed { text: changed, verdict } = self.text(context, place, text).await?;
                    if verdict.is_some() {
                        return Ok((is_changed, verdict));
                    }
                    if let Some(changed) = changed {
                        (*text, is_changed) = (changed, true);
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        Ok((is_changed, None))
    }
}

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is, after the JSON that it may be.
    Text,
    /// As JSON where it is JSON, as text where it is not.
    Document,
}

/// One guardrail that looks at one text.
struct Look<'a> {
    reviewer: &'a Reviewer,
    context: &'a RunContext,
    place: Place,
    index: usize,
}

impl Look<'_> {
    /// Looks at the strings within a text, then at the text.
    fn deep<'b>(
        &'b self,
        text: &'b str,
        form: Form,
        depth: u32,
    ) -> Pin<Box<dyn Future<Output = Result<Reviewed>> + Send + 'b>> {
        Box::pin(async move {
            let is_document = json::is_document(text);
            let mut within = Reviewed::default();
            // Escapes hide what they say, also within a text that only quotes some JSON.
            let may_hide = is_document || form == Form::Document || text.contains("\\u");
            if may_hide && depth < MAX_DEPTH {
                within = self.leaves(text, is_document, depth).await?;
            }
            if within.verdict.is_some() || is_document && form == Form::Document {
                return Ok(within);
            }
            let seen = self.plain(within.text.as_deref().unwrap_or(text)).await?;
            Ok(Reviewed { text: seen.text.or(within.text), verdict: seen.verdict })
        })
    }

    async fn leaves(&self, text: &str, is_document: bool, depth: u32) -> Result<Reviewed> {
        let mut changes = Vec::new();
        for leaf in json::leaves(text, is_document) {
            let seen = self.deep(&leaf.text, Form::Text, depth + 1).await?;
            if seen.verdict.is_some() {
                return Ok(seen);
            }
            changes.extend(seen.text.map(|changed| (leaf.span, changed)));
        }
        let text = (!changes.is_empty()).then(|| json::replaced(text, &changes));
        Ok(Reviewed { text, verdict: None })
    }

    /// Looks at a text as it is.
    async fn plain(&self, text: &str) -> Result<Reviewed> {
        if text.is_empty() {
            return Ok(Reviewed::default());
        }
        let subject = self.reviewer.subject(self.place, text, 0, 0);
        let findings = self.reviewer.look(self.context, self.index, subject).await?;
        if let Some(finding) = findings.last() {
            self.reviewer.tell(self.context, self.index, self.place, &finding.remedy);
        }
        Ok(applied(text, &findings, |remedy| self.reviewer.verdict(self.index, remedy), self.index))
    }
}

fn applied(
    text: &str,
    findings: &[Finding],
    verdict: impl Fn(&Remedy) -> Option<Verdict>,
    index: usize,
) -> Reviewed {
    let (mut whole, mut at) = (String::with_capacity(text.len()), 0);
    for Finding { span, remedy } in findings {
        let Remedy::Replace(replacement) = remedy else {
            return Reviewed { text: None, verdict: verdict(remedy).map(|verdict| (index, verdict)) };
        };
        whole.push_str(text.get(at..span.start).unwrap_or_default());
        whole.push_str(replacement);
        at = span.end;
    }
    whole.push_str(text.get(at..).unwrap_or_default());
    Reviewed { text: (!findings.is_empty()).then_some(whole), verdict: None }
}

/// Gives a text about another without what guardrails find in it.
pub(super) async fn cleaned(entries: &[Entry], context: &RunContext, text: &str) -> String {
    let mut text = text.to_owned();
    for entry in entries.iter().filter(|entry| !entry.guardrail.reads_documents()) {
        let Some(place) = Place::ALL.into_iter().find(|place| entry.guardrail.holds_at(*place)) else {
            continue;
        };
        let seen = match entry.look(context, Subject::whole(place, &text)).await {
            Ok(findings) => applied(&text, &findings, |_| None, 0)
                .text
                .filter(|_| findings.iter().all(|finding| matches!(finding.remedy, Remedy::Replace(_))))
                .or((!findings.is_empty()).then(String::new)),
            Err(_) => Some(String::new()),
        };
        text = seen.unwrap_or(text);
    }
    text
}

fn action_of(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Replace(_) => "redact",
        Remedy::Block(_) => "block",
        Remedy::AskAgain(_) => "ask_again",
    }
}

impl Entry {
    /// Has the guardrail look within its time; a failure is what its rules make of it.
    async fn look(&self, context: &RunContext, subject: Subject<'_>) -> Result<Vec<Finding>> {
        let work = AssertUnwindSafe(self.guardrail.inspect(context, subject)).catch_unwind();
        let problem = match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok(Ok(findings))) if are_in_order(&findings, subject) => return Ok(findings),
            Ok(Ok(Ok(_))) => "it found what is not there".to_owned(),
            Ok(Ok(Err(error))) => {
                let ends =
                    [ErrorKind::Cancelled, ErrorKind::BudgetExceeded, ErrorKind::Store, ErrorKind::Conflict];
                if ends.contains(&error.kind()) || context.check().is_err() {
                    return Err(error);
                }
                // The message may repeat the text.
                format!("it ended with an error of kind `{}`", error.kind())
            }
            Ok(Err(_)) => "it panicked".to_owned(),
            Err(_) => format!("it took longer than {:?}", self.timeout),
        };
        match self.on_failure {
            OnFailure::Open => {
                let name = self.guardrail.name();
                let message =
                    format!("the guardrail `{name}` failed, and what it was to look at passes: {problem}");
                context.emit(&StreamEvent::Warning { message });
                Ok(Vec::new())
            }
            OnFailure::Closed => {
                let remedy = Remedy::Block(format!("the guardrail failed: {problem}"));
                Ok(vec![Finding { span: subject.from..subject.text.len(), remedy }])
            }
        }
    }
}

/// Tells whether findings stand within the text, in order, and apart.
fn are_in_order(findings: &[Finding], subject: Subject<'_>) -> bool {
    let mut at = subject.from;
    findings.iter().all(|Finding { span, .. }| {
        let fits = span.start >= at && span.start < span.end && subject.text.get(span.clone()).is_some();
        at = span.end;
        fits
    })
}
