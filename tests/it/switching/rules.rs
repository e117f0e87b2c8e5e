//! What each format's servers refuse, as far as their error texts tell: ids, order, pairs of calls and results.

use motet_providers::dialect::Profile;
use serde_json::Value;

/// Gives every rule that a body breaks.
pub(super) fn broken(dialect: &str, profile: &Profile, body: &Value) -> Vec<String> {
    match dialect {
        "openai-chat" | "cohere-chat" => chat(profile, body),
        "openai-responses" => responses(body),
        "anthropic-messages" => anthropic(body),
        "gemini-generate" => gemini(body),
        "bedrock-converse" => bedrock(body),
        "ollama-chat" => ollama(body),
        other => vec![format!("no rules for `{other}`")],
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn fits(id: &str, length: std::ops::RangeInclusive<usize>, marks: &str) -> bool {
    length.contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

/// Every call is answered directly after it, in any order, and nothing else is.
fn chat(profile: &Profile, body: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let rule = &profile.call_ids;
    for message in list(body, "messages") {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            match open.iter().position(|known| known == id) {
                Some(place) => drop(open.remove(place)),
                None => problems.push(format!("a result for no call `{id}`")),
            }
            continue;
        }
        if !open.is_empty() {
            problems.push(format!("calls without results: {open:?}"));
        }
        open.clear();
        for call in list(message, "tool_calls") {
            let id = call["id"].as_str().unwrap_or_default();
            if !fits(id, rule.min..=rule.max, rule.marks) {
                problems.push(format!("the id `{id}` is refused"));
            }
            if !call["function"]["arguments"].is_string() {
                problems.push("arguments are no text".to_owned());
            }
            open.push(id.to_owned());
        }
        if message["content"].is_null() && list(message, "tool_calls").is_empty() {
            problems.push("a message without content".to_owned());
        }
        if message["tool_calls"].as_array().is_some_and(Vec::is_empty) {
            problems.push("an empty list of calls".to_owned());
        }
    }
    problems
}

fn responses(body: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let items = list(body, "input");
    for (place, item) in items.iter().enumerate() {
        let prefix = match item["type"].as_str() {
            Some("reasoning") => "rs",
            Some("function_call") => "fc",
            Some("message") => "msg",
            _ => "",
        };
        if let Some(id) = item["id"].as_str()
            && !id.starts_with(prefix)
        {
            problems.push(format!("the item id `{id}` does not begin with `{prefix}`"));
        }
        let call_id = item["call_id"].as_str().unwrap_or_default();
        let same = |other: &&Value, kind: &str| other["type"] == kind && other["call_id"] == item["call_id"];
        match item["type"].as_str() {
            Some("function_call") if !fits(call_id, 1..=64, "_-") => {
                problems.push(format!("the call id `{call_id}` is refused"));
            }
            Some("function_call")
                if !items[place..].iter().any(|other| same(&other, "function_call_output")) =>
            {
                problems.push(format!("the call `{call_id}` has no output"));
            }
            Some("function_call_output")
                if !items[..place].iter().any(|other| same(&other, "function_call")) =>
            {
                problems.push(format!("the output `{call_id}` has no call"));
            }
            Some("reasoning")
                if !items.get(place + 1).is_some_and(|next| {
                    next["role"] == "assistant"
                        || next["type"] == "function_call"
                        || next["type"] == "reasoning"
                }) =>
            {
                problems.push("reasoning without what followed it".to_owned());
            }
            _ => {}
        }
    }
    problems
}

fn anthropic(body: &Value) -> Vec<String> {
    let mut problems = alternating(list(body, "messages"), "user", "assistant");
    if body["max_tokens"].as_u64().unwrap_or(0) == 0 {
        problems.push("no `max_tokens`".to_owned());
    }
    let blocks = |message: &Value| list(message, "content").to_vec();
    let messages = list(body, "messages");
    for (place, message) in messages.iter().enumerate() {
        let mut seen_other = false;
        for block in blocks(message) {
            match block["type"].as_str() {
                Some("text") if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) => {
                    problems.push("an empty text block".to_owned());
                }
                Some("tool_use") => {
                    let id = block["id"].as_str().unwrap_or_default();
                    let next = messages.get(place + 1).map(blocks).unwrap_or_default();
                    if !next.iter().any(|other| other["type"] == "tool_result" && other["tool_use_id"] == id)
                    {
                        problems.push(format!("`{id}` is not answered by the next message"));
                    }
                    if !fits(id, 1..=64, "_-") {
                        problems.push(format!("the id `{id}` is refused"));
                    }
                    if !block["input"].is_object() {
                        problems.push("an input that is no object".to_owned());
                    }
                }
                Some("tool_result") if seen_other => problems.push("a result after other blocks".to_owned()),
                Some("thinking") if block["signature"].as_str().is_none_or(str::is_empty) => {
                    problems.push("thinking without a signature".to_owned());
                }
                _ => {}
            }
            seen_other |= block["type"] != "tool_result";
        }
    }
    problems
}

fn gemini(body: &Value) -> Vec<String> {
    let contents = list(body, "contents");
    let mut problems = Vec::new();
    let roles: Vec<&str> = contents.iter().filter_map(|content| content["role"].as_str()).collect();
    if roles.windows(2).any(|pair| pair == ["model", "model"]) || roles.len() != contents.len() {
        problems.push(format!("the roles are {roles:?}"));
    }
    for (place, content) in contents.iter().enumerate() {
        let parts = list(content, "parts");
        if parts.is_empty() {
            problems.push("a content without parts".to_owned());
        }
        let calls: Vec<&str> =
            parts.iter().filter_map(|part| part["functionCall"]["name"].as_str()).collect();
        if calls.is_empty() {
            continue;
        }
        let answers = contents.get(place + 1).map(|next| list(next, "parts")).unwrap_or_default();
        let answers: Vec<&str> =
            answers.iter().filter_map(|part| part["functionResponse"]["name"].as_str()).collect();
        if answers != calls {
            problems.push(format!("calls {calls:?} are answered by {answers:?}"));
        }
        if !parts
            .iter()
            .find(|part| part["functionCall"].is_object())
            .is_some_and(|part| part["thoughtSignature"].is_string())
        {
            problems.push("the first call of a turn has no signature".to_owned());
        }
    }
    problems
}

fn bedrock(body: &Value) -> Vec<String> {
    let messages = list(body, "messages");
    let mut problems = alternating(messages, "user", "assistant");
    for (place, message) in messages.iter().enumerate() {
        for block in list(message, "content") {
            let Some(id) = block["toolUse"]["toolUseId"].as_str() else { continue };
            let next = messages.get(place + 1).map(|next| list(next, "content")).unwrap_or_default();
            if !next.iter().any(|other| other["toolResult"]["toolUseId"] == id) {
                problems.push(format!("`{id}` is not answered by the next message"));
            }
            if !fits(id, 1..=64, "_-") {
                problems.push(format!("the id `{id}` is refused"));
            }
        }
        if list(message, "content")
            .iter()
            .any(|block| block["text"].as_str().is_some_and(|text| text.trim().is_empty()))
        {
            problems.push("an empty text block".to_owned());
        }
    }
    problems
}

fn ollama(body: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for message in list(body, "messages") {
        for call in list(message, "tool_calls") {
            if !call["function"]["arguments"].is_object() {
                problems.push("arguments that are no object".to_owned());
            }
        }
        if message["role"] == "tool" && message["tool_name"].as_str().is_none_or(str::is_empty) {
            problems.push("a result without its tool's name".to_owned());
        }
    }
    problems
}

fn alternating(messages: &[Value], first: &str, second: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let expected = if place % 2 == 0 { first } else { second };
        if message["role"].as_str().unwrap_or(first) != expected {
            problems.push(format!("message {place} is of role {}, not `{expected}`", message["role"]));
        }
    }
    problems
}
