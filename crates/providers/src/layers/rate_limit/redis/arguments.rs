//! What the script is told: names of keys, and numbers as text.
//!
//! Does no I/O. All arithmetic on rates is done here, so that the script adds and compares only.

use std::sync::Arc;
use std::time::Duration;

use super::server::Request;
use crate::layers::rate_limit::book::{Limits, Told, nanos};
use crate::layers::rate_limit::gcra::Rate;

/// Version of what the keys hold; processes of another version keep limits of their own.
const VERSION: u32 = 1;

/// Longest time that the script is told of, so that its sums stay whole numbers.
const LONGEST: u64 = 1 << 50;

/// The keys of one model's limits.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<[String]>);

impl Names {
    /// Names the keys; the braces keep them on one server of a cluster.
    pub(super) fn new(sharers: &str, model: &str) -> Self {
        let name = |rest: &str| format!("motet:limits:{VERSION}:{{{sharers}}}:{rest}");
        Self(Arc::from([
            name("requests"),
            name("tokens"),
            name(&format!("{model}:requests")),
            name(&format!("{model}:tokens")),
            name(&format!("{model}:pause")),
        ]))
    }

    /// Asks for room for one request.
    pub(super) fn book(&self, limits: [Limits; 2], tokens: u64, within: Option<Duration>) -> Request {
        let within = within.map_or_else(|| "-1".to_owned(), |within| text(nanos(within)));
        let costs = rates(limits).into_iter().zip(cells(tokens)).flat_map(|(rate, cells)| {
            rate.map_or([0, 0], |rate| [rate.time_of(cells), rate.window()]).map(text)
        });
        self.request("book", std::iter::once(within).chain(costs))
    }

    /// Puts what was used in the place of what was taken; `None` when nothing was sent.
    pub(super) fn settle(
        &self,
        limits: [Limits; 2],
        booked_at: u64,
        taken: u64,
        used: Option<u64>,
    ) -> Request {
        let after = used.map_or([0; 4], cells);
        let more = rates(limits).into_iter().zip(cells(taken).into_iter().zip(after)).map(
            |(rate, (before, after))| {
                let time = |cells| rate.map_or(0, |rate| rate.time_of(cells)).min(LONGEST);
                let (before, after) = (time(before), time(after));
                if after >= before { text(after - before) } else { format!("-{}", before - after) }
            },
        );
        self.request("settle", std::iter::once(booked_at.to_string()).chain(more))
    }

    /// Leaves no more of the model's own limits than the provider tells.
    pub(super) fn lower(&self, told: &Told) -> Request {
        let own = [None, None, told.requests, told.tokens].into_iter().flat_map(|told| {
            told.map_or([0, 0], |(rate, left)| [rate.window(), rate.time_of(left)]).map(text)
        });
        self.request("lower", own)
    }

    /// Lets nothing of the model through for so many nanoseconds.
    pub(super) fn pause(&self, time: u64) -> Request {
        self.request("pause", std::iter::once(text(time)))
    }

    fn request(&self, operation: &str, numbers: impl Iterator<Item = String>) -> Request {
        // The empty one is the time, which the server's clock gives.
        let arguments = [operation.to_owned(), String::new()].into_iter().chain(numbers).collect();
        Request { keys: Arc::clone(&self.0), arguments }
    }
}

/// Gives the rates in the order of the keys.
fn rates([shared, own]: [Limits; 2]) -> [Option<Rate>; 4] {
    [shared.requests, shared.tokens, own.requests, own.tokens]
}

/// Gives what one request takes of each limit.
fn cells(tokens: u64) -> [u64; 4] {
    [1, tokens, 1, tokens]
}

fn text(time: u64) -> String {
    time.min(LONGEST).to_string()
}
