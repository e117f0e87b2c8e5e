//! Asks for JSON by a forced tool or by words where a model has no schema mode, and reads the answer as if it had.
//!
//! Stands between the driver and every dialect, so that no dialect knows of it.

use std::borrow::Cow;

use motet_core::{ChatRequest, Delivery, Result, StreamEvent};

use super::Profile;

/// A request that the dialect can write, and how its answer is turned back.
#[derive(Debug)]
pub struct Lowered<'a> {
    /// The request to write.
    pub request: Cow<'a, ChatRequest>,
    /// Turns the answer's events back.
    pub restoring: Restoring,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Turns the events of an answer to a lowered request into those of the request that was made.
#[derive(Debug, Clone, Default)]
pub struct Restoring {}

/// Lowers a request as its model's profile says.
///
/// # Errors
/// `Unsupported` when the model can give no JSON in any way.
pub fn lower<'a>(request: &'a ChatRequest, profile: &Profile, delivery: Delivery) -> Result<Lowered<'a>> {
    let _ = (profile, delivery);
    Ok(Lowered { request: Cow::Borrowed(request), restoring: Restoring::default(), warnings: Vec::new() })
}

impl Restoring {
    /// Turns back the events from a place on.
    pub fn apply(&mut self, events: &mut Vec<StreamEvent>, from: usize) {
        let _ = (&self, events, from);
    }
}
