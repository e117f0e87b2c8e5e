//! A user's own word on what is tried again.
//!
//! Knows no layer; the retry layer asks it.

use async_trait::async_trait;
use motet_core::Error;

use crate::layers::Ask;

/// Decides about failures that could be tried again; asked once for each, before anything is waited for.
///
/// It decides in the place of the settings' list of kinds, in both directions, and of nothing else: it is not asked
/// where no attempt is left that another send could come out of, after the end of the run, or where part of the answer
/// was shown already, unless streams are recovered. What it allows still waits, and still comes out of the call's
/// attempts and time.
///
/// ```
/// use motet_core::ErrorKind;
/// use motet_providers::layers::Ask;
/// use motet_providers::layers::retry::{Failure, Judgement, RetryJudge};
///
/// /// Asks for a shorter answer where the whole did not fit, and leaves the rest to the settings.
/// struct Shorter;
///
/// #[async_trait::async_trait]
/// impl RetryJudge for Shorter {
///     async fn judge(&self, failure: &Failure<'_>) -> Judgement {
///         if failure.error.kind() != ErrorKind::TokenLimit {
///             return Judgement::AsSet;
///         }
///         let mut ask = failure.ask.again().into_owned();
///         if let Ask::Chat { request, .. } = &mut ask {
///             request.to_mut().max_tokens = Some(500);
///         }
///         Judgement::AgainWith(Box::new(ask))
///     }
/// }
/// ```
#[async_trait]
pub trait RetryJudge: Send + Sync {
    /// Judges one failure.
    async fn judge(&self, failure: &Failure<'_>) -> Judgement;
}

/// A failure that could be tried again.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// Number of the attempt that failed, among those sent to this model; 0 where an open circuit let none through yet.
    pub attempt: u32,
    /// Why it failed.
    pub error: &'a Error,
    /// What was asked, as it was sent.
    pub ask: &'a Ask<'a>,
    /// What the settings say: whether it is tried again.
    pub retried: bool,
}

/// What is done about a failure.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Judgement {
    /// What the settings say.
    AsSet,
    /// The call fails with this error.
    Stop,
    /// The same is sent again.
    Again,
    /// This is sent instead, to the same model, and by all later attempts too.
    AgainWith(Box<Ask<'static>>),
}
