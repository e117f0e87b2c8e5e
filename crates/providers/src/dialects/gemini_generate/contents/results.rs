//! Results of tools, brought into the order of the calls that they answer, since calls are matched by name and order.

use std::borrow::Cow;

use motet_core::Result;
use motet_core::message::{MediaSource, Part, ToolCall, ToolResult};

use super::parts::{Data, FunctionResult, WirePart, out_of_place};
use crate::dialect::Profile;

/// The calls of the latest turn, and the results that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Results<'a> {
    calls: Vec<Expected<'a>>,
    waiting: Vec<(usize, WirePart<'a>)>,
    /// Media that no result may hold, each led by a text that says whose they are.
    media: Vec<WirePart<'a>>,
}

#[derive(Debug)]
struct Expected<'a> {
    id: &'a str,
    name: &'a str,
    /// The id that the provider sent, which its result repeats.
    sent_id: Option<&'a str>,
}

impl<'a> Results<'a> {
    /// Forgets the calls of the turn before.
    pub(super) fn begin(&mut self) {
        self.calls.clear();
    }

    /// Notes a call as it is written.
    pub(super) fn expect(&mut self, call: &'a ToolCall, written: &WirePart<'a>) {
        self.calls.push(Expected { id: &call.id, name: &call.name, sent_id: written.call_id() });
    }

    /// Takes a result.
    pub(super) fn add(&mut self, result: &'a ToolResult, profile: &Profile) -> Result<()> {
        let place = self.calls.iter().position(|call| call.id == result.id);
        let call = place.and_then(|place| self.calls.get(place));
        let called = call.map_or("", |call| call.name);
        let name = if result.name.is_empty() { called } else { &result.name };
        let (mut texts, mut inside, mut beside) = (Vec::new(), Vec::new(), Vec::new());
        for part in &result.content {
            match part {
                Part::Text { text, .. } => texts.push(text.as_str()),
                Part::Image(media) | Part::Document(media) => {
                    let bytes = matches!(media.source, MediaSource::Base64(_));
                    let fitting = if bytes && profile.tool_result_images { &mut inside } else { &mut beside };
                    fitting.push(WirePart::media(media)?);
                }
                other => return Err(out_of_place(other, "tool")),
            }
        }
        let text = match texts.as_slice() {
            [] if !beside.is_empty() => Cow::Borrowed("The result follows in the next message."),
            [one] => Cow::Borrowed(*one),
            several => Cow::Owned(several.concat()),
        };
        if !beside.is_empty() {
            self.media.push(WirePart::text(format!("Result of the call of tool `{name}`:")));
            self.media.append(&mut beside);
        }
        let id = call.and_then(|call| call.sent_id);
        let result = FunctionResult { name, id, text, is_error: result.is_error, media: inside };
        self.waiting.push((place.unwrap_or(usize::MAX), Data::Result(result).into()));
        Ok(())
    }

    /// Gives the results in the order of their calls, and the media that follow them.
    pub(super) fn take(&mut self) -> (Vec<WirePart<'a>>, Vec<WirePart<'a>>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by_key(|(place, _)| *place);
        (waiting.into_iter().map(|(_, part)| part).collect(), std::mem::take(&mut self.media))
    }
}
