//! What a user can do about a refusal, in one sentence.
//!
//! Names no provider: what differs stands in its row.

use motet_core::{Error, ErrorKind};

use super::{Complaint, shortened};
use crate::dialect::Origin;

/// Gives the hint for an error; `above_allowance` says that the request alone is larger than a minute's allowance, and
/// `elsewhere` is where the answer points to.
pub(super) fn of(
    error: &Error,
    complaint: &Complaint,
    above_allowance: bool,
    elsewhere: Option<&str>,
    origin: &Origin,
) -> Option<String> {
    let name = origin.row.name;
    if complaint.is_page {
        return Some(format!(
            "something answered in place of `{name}`, such as a proxy: check the base URL and the proxy, or try again later"
        ));
    }
    Some(match error.kind() {
        ErrorKind::Authentication => match origin.row.key_names.first() {
            Some(key) => format!("set `{key}` to a valid key of `{name}`"),
            None => format!("give the key that `{name}` expects"),
        },
        ErrorKind::Permission => "check that the key may use this model and that its project allows it".to_owned(),
        ErrorKind::NotFound => of_unknown(origin),
        ErrorKind::QuotaExceeded if complaint.exhausted => format!(
            "the key's quota at `{name}` is used up, for the day or altogether: take another model, or have the quota raised"
        ),
        ErrorKind::QuotaExceeded => format!("add credit to the account or raise its spending limit at `{name}`"),
        ErrorKind::RateLimit => match error.retry_after() {
            Some(wait) if !wait.is_zero() => {
                format!("try again in {}, or send fewer requests at once", rounded(wait))
            }
            _ => "try again in a while, or send fewer requests at once".to_owned(),
        },
        ErrorKind::Overloaded => match error.retry_after() {
            Some(wait) if !wait.is_zero() => {
                format!("the trouble is on the side of `{name}`: try again in {}", rounded(wait))
            }
            _ => format!("the trouble is on the side of `{name}`: try again later, or take another model"),
        },
        ErrorKind::Timeout => format!("`{name}` gave up waiting: try again, or ask for less at once"),
        ErrorKind::TokenLimit if above_allowance => {
            "the request alone is larger than the key's allowance of tokens per minute: shorten it, or have the \
             allowance raised"
                .to_owned()
        }
        ErrorKind::TokenLimit => "shorten the conversation or take a model with a larger context window".to_owned(),
        ErrorKind::ContentFilter => "the provider's policy refuses this content: rephrase it".to_owned(),
        ErrorKind::InvalidRequest => return of_refused(error, complaint, elsewhere),
        _ => return None,
    })
}

fn of_unknown(origin: &Origin) -> String {
    let row = origin.row;
    match (origin.asked(), row.unknown_model_hint) {
        (Some(model), Some(hint)) => hint.replace("{model}", model.model()),
        (Some(model), None) if row.listing.is_some() => format!(
            "check the name of model `{}` and the base URL; `motet model list {}` shows the names there are",
            model.model(),
            row.name
        ),
        (Some(model), None) => format!("check the name of model `{}` and the base URL", model.model()),
        (None, _) => "check the base URL".to_owned(),
    }
}

fn of_refused(error: &Error, complaint: &Complaint, elsewhere: Option<&str>) -> Option<String> {
    let hint = match error.status()? {
        300..=399 if elsewhere.is_some() => {
            let place = shortened(elsewhere.unwrap_or_default(), 200);
            return Some(format!("the address redirects to `{place}`: set the base URL to match"));
        }
        300..=399 => "the address redirects elsewhere: set the base URL to where it leads",
        405 => "check the base URL",
        407 => "the proxy wants a user and a password: write them into its address",
        _ if complaint.message.trim().is_empty() => {
            "look at the request with `motet complete --dry-run`; it may be too long or use an option that the model \
             does not take"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Shows a time to wait in whole seconds, and a short one in milliseconds.
fn rounded(wait: std::time::Duration) -> String {
    if wait.as_secs() == 0 {
        return format!("{} ms", wait.as_millis().max(1));
    }
    format!("{} s", wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}
