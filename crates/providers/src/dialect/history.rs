//! What becomes of a conversation's parts that only one provider understands, when another is next.
//!
//! The rules: reasoning, payloads, and native blocks go back byte for byte to the provider that sent them, and are left
//! out for any other; a payload that belongs to a part that stays (text, a tool call) is dropped and the part is sent
//! plain. Whatever is left out is told.

use std::collections::BTreeMap;

use motet_core::message::Opaque;
use serde_json::Value;

/// Gives the payload if it came from this provider.
pub(crate) fn own<'a>(opaque: Option<&'a Opaque>, provider: &str) -> Option<&'a Value> {
    opaque.filter(|opaque| opaque.provider == provider).map(|opaque| &opaque.payload)
}

/// Counts what was left out of a conversation, to be told in one warning each.
#[derive(Debug, Default)]
pub(crate) struct Losses(BTreeMap<(&'static str, String), usize>);

impl Losses {
    /// Notes that something that came from a provider was left out, such as `reasoning` or `signature`.
    pub(crate) fn note(&mut self, what: &'static str, from: &str) {
        *self.0.entry((what, from.to_owned())).or_default() += 1;
    }

    /// Notes a payload that came from another provider than the one asked; `None` and the provider's own are no loss.
    pub(crate) fn note_foreign(&mut self, what: &'static str, opaque: Option<&Opaque>, provider: &str) {
        if let Some(opaque) = opaque.filter(|opaque| opaque.provider != provider) {
            self.note(what, &opaque.provider);
        }
    }

    /// Gives one warning for each kind of loss.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|((what, from), count)| {
            let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
            let from = if from.is_empty() { String::new() } else { format!(" of `{from}`") };
            format!("{what}{from} was left out {times}, as this model cannot take it")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_foreign_is_counted_and_what_is_own_is_given() {
        let opaque = Opaque { provider: "a".into(), payload: json!({"signature": "x"}) };
        assert_eq!(own(Some(&opaque), "a"), Some(&json!({"signature": "x"})));
        assert_eq!(own(Some(&opaque), "b"), None);
        let mut losses = Losses::default();
        losses.note_foreign("a signature", Some(&opaque), "a");
        losses.note_foreign("a signature", None, "b");
        assert_eq!(losses.warnings().count(), 0);
        losses.note_foreign("a signature", Some(&opaque), "b");
        losses.note_foreign("a signature", Some(&opaque), "b");
        losses.note("reasoning", "");
        let warnings: Vec<String> = losses.warnings().collect();
        assert_eq!(
            warnings,
            [
                "a signature of `a` was left out 2 times, as this model cannot take it",
                "reasoning was left out once, as this model cannot take it",
            ]
        );
    }
}
