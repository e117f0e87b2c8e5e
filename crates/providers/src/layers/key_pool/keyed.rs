//! The events of an answer, with the name of the key that it came by, and its end told to the pool.
//!
//! Knows nothing of how the key was chosen.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use motet_core::{Error, EventStream, Result, Retry, StreamEvent};
use tokio::time::Instant;

use super::METADATA;
use super::affinity::print_of;
use super::pool::{Lease, Outlook};

/// Gives the events of an answer that came by a key.
pub(super) fn keyed(stream: EventStream, lease: Lease) -> EventStream {
    Box::pin(Keyed { stream, lease: Some(lease), name: Name::Due, is_finished: false })
}

struct Keyed {
    stream: EventStream,
    lease: Option<Lease>,
    name: Name,
    is_finished: bool,
}

/// Whether the key's name was told; it follows the first event, which begins the answer.
enum Name {
    Due,
    Next,
    Told,
}

impl Keyed {
    fn note(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::PartOpaque { opaque, .. } | StreamEvent::NativePart { opaque, .. } => {
                if let Some(lease) = &self.lease {
                    lease.remember(print_of(&opaque.payload));
                }
            }
            StreamEvent::Finished { .. } => self.is_finished = true,
            _ => {}
        }
        if matches!(self.name, Name::Due) {
            self.name = Name::Next;
        }
    }

    /// Ends the use of the key, and says when another can be used instead.
    fn fail(&mut self, error: Error) -> Error {
        let Some(lease) = self.lease.take() else { return error };
        let (pool, model) = (lease.pool.clone(), lease.using.model.clone());
        match lease.failed(&error) {
            Some(refusal) if !refusal.is_unsure() => match pool.outlook(&model) {
                Outlook::Now => error.with_retry(Retry::After(Duration::ZERO)),
                Outlook::At(at) => {
                    error.with_retry(Retry::After(at.saturating_duration_since(Instant::now())))
                }
                Outlook::Never => pool.no_key(&model, Some(error)),
            },
            _ => error,
        }
    }
}

impl Stream for Keyed {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.name, Name::Next) {
            self.name = Name::Told;
            if let Some(lease) = &self.lease {
                let (name, value) = (METADATA.to_owned(), lease.name().into());
                return Poll::Ready(Some(Ok(StreamEvent::Metadata { name, value })));
            }
        }
        Poll::Ready(match ready!(self.stream.as_mut().poll_next(context)) {
            Some(Ok(event)) => {
                self.note(&event);
                Some(Ok(event))
            }
            Some(Err(error)) => Some(Err(self.fail(error))),
            None => {
                if let Some(lease) = self.lease.take().filter(|_| self.is_finished) {
                    lease.done();
                }
                None
            }
        })
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take().filter(|_| self.is_finished) {
            lease.done();
        }
    }
}
