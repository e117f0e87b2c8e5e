//! How hard the model should think, in the fields that it knows, and what a forced call does to that.

use motet_core::request::{ReasoningEffort, ToolChoice};
use motet_core::{ChatRequest, Error, ErrorKind, Result};
use serde::Serialize;
use serde::ser::SerializeMap;

use crate::dialect::fields::Fields;
use crate::dialect::{EffortForm, Profile, options};

/// Gives the effort to send: a model that cannot be made to call a tool while it thinks is kept from thinking.
pub(super) fn effort(
    request: &ChatRequest,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Result<Option<ReasoningEffort>> {
    let forced = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Tool(_));
    if !forced || profile.forced_while_thinking || profile.efforts.is_empty() {
        return Ok(options::effort(request, profile, warnings));
    }
    if !profile.efforts.contains(&ReasoningEffort::None) {
        let text = "the model always thinks, and cannot be made to call a tool while it does";
        return Err(
            Error::new(ErrorKind::Unsupported, text).with_hint("let it choose whether to call a tool")
        );
    }
    match request.reasoning_effort {
        Some(effort) if effort != ReasoningEffort::None => {
            let text = format!(
                "the model cannot be made to call a tool while it thinks, which effort `{}` asks for",
                effort.as_str()
            );
            Err(Error::new(ErrorKind::InvalidRequest, text)
                .with_hint("leave the effort out, or let the model choose whether to call a tool"))
        }
        Some(_) => Ok(Some(ReasoningEffort::None)),
        None => {
            warnings.push("a call is required, so the model was asked not to think".to_owned());
            Ok(Some(ReasoningEffort::None))
        }
    }
}

/// Writes the effort in the form that the model knows.
pub(super) fn put<M: SerializeMap>(
    fields: &mut Fields<'_, M>,
    effort: Option<ReasoningEffort>,
    profile: &Profile,
) -> Result<(), M::Error> {
    let Some(effort) = effort else { return Ok(()) };
    let thinks = effort != ReasoningEffort::None;
    let word = if effort == ReasoningEffort::Xhigh { profile.xhigh_word } else { effort.as_str() };
    match profile.effort_form {
        EffortForm::Word => fields.put("reasoning_effort", word),
        EffortForm::OneWord(on) => fields.put("reasoning_effort", if thinks { on } else { word }),
        EffortForm::Object => fields.put("reasoning", &Object { effort: word }),
        EffortForm::Switch { word: degrees } => {
            fields.put("thinking", &Switch { kind: if thinks { "enabled" } else { "disabled" } })?;
            fields.put_some("reasoning_effort", Some(word).filter(|_| degrees && thinks))
        }
        EffortForm::Flag(name) => fields.put(name, &thinks),
    }
}

#[derive(Serialize)]
struct Object {
    effort: &'static str,
}

#[derive(Serialize)]
struct Switch {
    #[serde(rename = "type")]
    kind: &'static str,
}
