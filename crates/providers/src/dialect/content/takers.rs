//! Who takes what a model does not: named from the rows, so that the advice is never older than they are.

use motet_core::{Error, ErrorKind};

use super::super::{Origin, Profile};
use crate::provider::ProviderRow;
use crate::rows;

/// Providers that a hint names at most.
const NAMED: usize = 5;

/// Makes the error of something that the model does not take, with whoever takes it.
pub(super) fn unsupported(
    what: &str,
    place: &str,
    origin: &Origin,
    instead: &str,
    takes: impl Fn(&Profile) -> bool,
) -> Error {
    let known = rows::ALL.iter().filter(|row| row.base_url.is_some());
    let named: Vec<String> = known.filter_map(|row| taker(row, origin.row, &takes)).take(NAMED).collect();
    let hint = match named.as_slice() {
        [] => instead.to_owned(),
        named => format!("{instead}, or take one of: {}", named.join(", ")),
    };
    Error::new(ErrorKind::Unsupported, format!("model `{}` does not take {what}{place}", origin.model))
        .with_hint(hint)
}

/// Names a provider most of whose models take something, or those of its models that do.
fn taker(row: &ProviderRow, own: &ProviderRow, takes: impl Fn(&Profile) -> bool) -> Option<String> {
    if takes(&row.profile) {
        let others = if row.name == own.name { "other models of " } else { "" };
        return Some(format!("{others}`{}`", row.name));
    }
    let model = row.models.iter().find(|rule| takes(&rule.profile))?;
    Some(format!("`{}:{}…`", row.name, model.prefix))
}
