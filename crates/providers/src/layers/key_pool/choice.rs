//! Which key a call goes to: one that has room, in turns by weight, unless the conversation belongs to an account.
//!
//! Looks at every key once; holds no lock and reads no clock.

use std::time::Duration;

use tokio::time::Instant;

use super::affinity::{Past, rendezvous};
use super::state::{KeyRecord, Standing, State, Use};

/// Longest wait for the account that only may read what a conversation carries.
const BOUND_WAIT: Duration = Duration::from_secs(30);
/// Longest wait for the account that probably still has a conversation in its cache.
const CACHED_WAIT: Duration = Duration::from_secs(1);

/// How much more than its share may be on its way with a key before others are preferred.
const OVERLOAD: f64 = 1.25;

/// What a call wants.
pub(super) struct Wish<'a> {
    pub(super) model: &'a str,
    /// Gives how long it would wait for the limits of a key.
    pub(super) waits: &'a (dyn Fn(usize) -> Duration + Sync),
    /// Keys that refused this call.
    pub(super) tried: &'a [usize],
    pub(super) past: Past,
    /// How long it may wait at all.
    pub(super) patience: Duration,
    /// If it finds a key refused, it can be sent again.
    pub(super) may_probe: bool,
}

/// What a call gets.
#[derive(Debug, PartialEq)]
pub(super) enum Choice {
    /// A key, which is taken.
    Use(Use),
    /// No key before then.
    Rest(Instant),
    /// All that are ready refused this very call.
    Tried,
    /// No key is taken any more.
    Gone,
}

/// How strongly a conversation belongs to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bond {
    None,
    /// It may have cached what was said.
    Cached(usize),
    /// It made what the conversation carries.
    Bound(usize),
}

impl State {
    /// Chooses a key and takes it.
    pub(super) fn choose(&mut self, wish: &Wish<'_>, now: Instant) -> Choice {
        let standings: Vec<Standing> =
            self.keys.iter().map(|key| self.standing(key, wish.model, now)).collect();
        let bond = self.bond(wish.past, &standings);
        let at = match self.pick(wish, bond, &standings, now) {
            Ok(at) => at,
            Err(choice) => return choice,
        };
        let Some(mut using) = self.begin(at, wish.model, now) else { return Choice::Gone };
        let group = self.keys.get(at).map(|key| key.group);
        using.is_foreign = wish.past.payload.is_some() && bond != group.map_or(Bond::None, Bond::Bound);
        Choice::Use(using)
    }

    fn pick(
        &self,
        wish: &Wish<'_>,
        bond: Bond,
        standings: &[Standing],
        now: Instant,
    ) -> Result<usize, Choice> {
        let untried = |at: &usize| !wish.tried.contains(at);
        let at = |standing: Standing| {
            let all = standings.iter().enumerate();
            all.filter(move |(_, one)| **one == standing).map(|(at, _)| at).filter(untried)
        };
        let is_bound = matches!(bond, Bond::Bound(_));
        if wish.may_probe
            && !is_bound
            && let Some(due) = at(Standing::Due).next()
        {
            return Ok(due);
        }
        let sum = |part: fn(&KeyRecord) -> u32| self.keys.iter().map(part).map(f64::from).sum::<f64>();
        let share = (sum(|key| key.counts.in_flight) + 1.0) / sum(|key| key.weight);
        let ready: Vec<Candidate<'_>> = at(Standing::Ready)
            .filter_map(|at| {
                let key = self.keys.get(at)?;
                let has_room =
                    f64::from(key.counts.in_flight) < 1.0 + OVERLOAD * share * f64::from(key.weight);
                Some(Candidate { at, key, wait: (wish.waits)(at), has_room })
            })
            .collect();
        match bond {
            Bond::Bound(group) => {
                match self.bound(group, &ready, standings, (now, BOUND_WAIT.min(wish.patience))) {
                    Some(Ok(at)) => return Ok(at),
                    Some(Err(until)) => return Err(Choice::Rest(until)),
                    None => {}
                }
            }
            Bond::Cached(group) => {
                let near = ready
                    .iter()
                    .filter(|one| one.key.group == group && one.wait <= CACHED_WAIT.min(wish.patience));
                if let Some(at) = best(near.filter(|one| one.has_room).copied()) {
                    return Ok(at);
                }
            }
            Bond::None => {}
        }
        if let Some(at) = least_loaded(&ready) {
            return Ok(at);
        }
        if let Some(due) = at(Standing::Due).next() {
            return Ok(due);
        }
        let until = standings.iter().filter_map(|standing| match standing {
            Standing::Until(until) => Some(*until),
            _ => None,
        });
        Err(match until.min() {
            Some(until) => Choice::Rest(until),
            None if standings.contains(&Standing::Ready) => Choice::Tried,
            None => Choice::Gone,
        })
    }

    /// Finds the account that a conversation belongs to.
    fn bond(&self, past: Past, standings: &[Standing]) -> Bond {
        let known = |print: Option<u64>| print.and_then(|print| self.memory.find(print));
        if let Some(group) = known(past.payload) {
            return Bond::Bound(group);
        }
        let Some(conversation) = past.conversation.filter(|_| past.is_continued) else { return Bond::None };
        let drawn = || {
            let ready = self.keys.iter().zip(standings).filter(|(_, one)| **one == Standing::Ready);
            let groups = ready.filter_map(|(key, _)| Some((key.group, self.groups.get(key.group)?.weight)));
            rendezvous(conversation, groups)
        };
        known(Some(conversation)).or_else(drawn).map_or(Bond::None, Bond::Cached)
    }

    /// Gives a key of the account that a conversation is bound to, or when to wait for one; `None` where that would
    /// take too long.
    fn bound(
        &self,
        group: usize,
        ready: &[Candidate<'_>],
        standings: &[Standing],
        (now, longest): (Instant, Duration),
    ) -> Option<Result<usize, Instant>> {
        let own = ready.iter().filter(|one| one.key.group == group && one.wait <= longest);
        if let Some(at) = best(own.copied()) {
            return Some(Ok(at));
        }
        let until = self.keys.iter().zip(standings).filter_map(|(key, standing)| match standing {
            Standing::Until(until) if key.group == group && *until <= now + longest => Some(*until),
            _ => None,
        });
        until.min().map(Err)
    }
}

/// A key that could be used.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    at: usize,
    key: &'a KeyRecord,
    wait: Duration,
    /// It has not much more on its way than its share, as slow keys have.
    has_room: bool,
}

/// Gives the key that comes next among those with room, or else the one that has room first.
fn least_loaded(ready: &[Candidate<'_>]) -> Option<usize> {
    let free = ready.iter().filter(|one| one.wait.is_zero() && one.has_room);
    best(free.copied()).or_else(|| best(ready.iter().copied()))
}

/// Gives the one with the shortest wait, and of equals the one whose turn it is.
fn best<'a>(candidates: impl Iterator<Item = Candidate<'a>>) -> Option<usize> {
    let best = candidates.min_by(|one, other| {
        let turns = || one.key.turn.total_cmp(&other.key.turn);
        one.wait.cmp(&other.wait).then_with(turns).then(one.key.chosen.cmp(&other.key.chosen))
    });
    best.map(|one| one.at)
}
