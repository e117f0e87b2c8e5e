//! Vectors, each text's by itself: of a batch, only those are asked for that are neither kept nor on their way.
//!
//! Processes that share a store do not wait for each other here: a lease for every text would cost more than it saves.

use crate::layers::Lent;
use std::collections::HashMap;
use std::sync::Arc;

use motet_core::{Cost, EmbedRequest, EmbedResponse, Error, ErrorKind, Result, StreamEvent, Usage};
use serde_json::json;

use super::flight::{Landed, Lead, Seat, Wait};
use super::kept::{Kept, Vector};
use super::{CACHED, Key, Scope, Use};
use crate::layers::ending::Observed;
use crate::layers::stack::observe;
use crate::layers::{Answer, Ask, Call, Next};

type Vectors = HashMap<Key, Arc<Vector>>;

impl Use<'_> {
    pub(super) async fn embed(self, scope: &Scope, call: Call<'_>, next: Next) -> Result<Answer> {
        let Ask::Embed(request) = &call.ask else { return next.call(call).await };
        let keys = Key::of_texts(request, scope)?;
        let mut batch =
            Batch { request, keys: &keys, vectors: Vectors::new(), given: 0, paid: Paid::default() };
        let mut told = false;
        loop {
            let missing = self.missing(&mut batch, &call).await;
            if missing.is_empty() {
                break;
            }
            let Seats { leads, waits } = self.seats(&mut batch, missing);
            if !leads.is_empty() {
                self.ask(&mut batch, leads, &call, &next).await?;
            }
            if !waits.is_empty() && !std::mem::replace(&mut told, true) {
                let scope = request.model.to_string();
                let reason = "single_flight".to_owned();
                call.context.emit(&StreamEvent::Waiting { reason, delay_ms: 0, scope });
            }
            for (key, wait) in waits {
                if let Some(landed) = wait.landed(&call.context).await? {
                    let kept = self.shared(key, landed, &call.context).await;
                    batch.give(key, kept);
                }
            }
        }
        let response = batch.response()?;
        if let (true, Some(first)) = (batch.paid.calls == 0, keys.first()) {
            call.context.emit(&StreamEvent::CacheHit { key: first.to_string() });
        }
        Ok(Answer::Vectors(response))
    }

    /// Takes what is kept by now, and gives the keys of the texts that are not, each once.
    async fn missing(self, batch: &mut Batch<'_>, call: &Call<'_>) -> Vec<Key> {
        let mut wanted = batch.wanted();
        if self.reads() && !wanted.is_empty() {
            let found = self.cache.find_all(&wanted, &call.context).await;
            for (key, kept) in wanted.iter().zip(found) {
                kept.into_iter().for_each(|kept| batch.give(*key, kept));
            }
            wanted = batch.wanted();
        }
        wanted
    }

    /// Leads what nobody asks for.
    fn seats(self, batch: &mut Batch<'_>, missing: Vec<Key>) -> Seats {
        let mut seats = Seats { leads: Vec::new(), waits: Vec::new() };
        for key in missing {
            if !self.reads() {
                seats.leads.push((key, None));
                continue;
            }
            match self.cache.flights.join(key) {
                // Between the look and the lead, another call may have landed.
                Seat::Lead(lead) => match self.cache.memory().find(&key) {
                    Some(kept) => {
                        lead.land(Landed { kept: kept.clone(), unkept: false });
                        batch.give(key, kept);
                    }
                    None => seats.leads.push((key, Some(lead))),
                },
                Seat::Wait(wait) => seats.waits.push((key, wait)),
            }
        }
        seats
    }

    /// Asks for the vectors of some texts in one call, and gives them to all who wait.
    async fn ask(
        self,
        batch: &mut Batch<'_>,
        leads: Vec<(Key, Option<Lead>)>,
        call: &Call<'_>,
        next: &Next,
    ) -> Result<()> {
        let inputs = batch.texts(leads.iter().map(|(key, _)| *key));
        let asked = inputs.len();
        let request = EmbedRequest { inputs, ..batch.request.clone() };
        let ask = Ask::Embed(Lent::owned(request));
        let part = Call::new(call.context.clone(), ask, Arc::clone(&call.attempts));
        let observed = Observed::new(part.endings.clone());
        let Answer::Vectors(response) = observe(next.call(part).await, observed)? else {
            return Err(Error::new(ErrorKind::Internal, "vectors were asked for, and something else came"));
        };
        if response.embeddings.len() != asked {
            let message = format!("{asked} vectors were asked for, and {} came", response.embeddings.len());
            return Err(Error::new(ErrorKind::InvalidOutput, message).with_model(response.model));
        }
        let mut new = Vec::new();
        for ((key, lead), numbers) in leads.into_iter().zip(&response.embeddings) {
            let vector = Vector { numbers: numbers.clone(), served_model: response.served_model.clone() };
            let vector = Arc::new(vector);
            batch.vectors.insert(key, Arc::clone(&vector));
            let kept = Kept::Vector(vector);
            if let Some(replace) = self.keeps() {
                new.extend(self.cache.remember(key, &kept, replace));
            }
            if let Some(lead) = lead {
                lead.land(Landed { kept, unkept: self.keeps().is_none() });
            }
        }
        if let Some(replace) = self.keeps() {
            self.cache.keep(new, replace, &call.context).await;
        }
        batch.paid.add(response);
        Ok(())
    }
}

struct Seats {
    leads: Vec<(Key, Option<Lead>)>,
    waits: Vec<(Key, Wait)>,
}

/// A request and what is known of its answer.
struct Batch<'a> {
    request: &'a EmbedRequest,
    /// Of the texts, in their order.
    keys: &'a [Key],
    vectors: Vectors,
    /// Texts whose vectors were given and not paid for.
    given: usize,
    paid: Paid,
}

impl Batch<'_> {
    fn give(&mut self, key: Key, kept: Kept) {
        if let Kept::Vector(vector) = kept {
            self.vectors.insert(key, vector);
            self.given += self.keys.iter().filter(|own| **own == key).count();
        }
    }

    /// Gives the keys without a vector, each once, in the order of their texts.
    fn wanted(&self) -> Vec<Key> {
        let mut seen = std::collections::HashSet::new();
        let keys = self.keys.iter().copied();
        keys.filter(|key| !self.vectors.contains_key(key) && seen.insert(*key)).collect()
    }

    fn texts(&self, keys: impl Iterator<Item = Key>) -> Vec<String> {
        let by_key: HashMap<Key, &String> = self.keys.iter().copied().zip(&self.request.inputs).collect();
        keys.filter_map(|key| by_key.get(&key).map(|text| String::clone(text))).collect()
    }

    fn response(&mut self) -> Result<EmbedResponse> {
        let vectors: Option<Vec<&Arc<Vector>>> = self.keys.iter().map(|key| self.vectors.get(key)).collect();
        let lost = || Error::new(ErrorKind::Internal, "a vector was lost");
        let vectors = vectors.ok_or_else(lost)?;
        let served_model = vectors.iter().find_map(|vector| vector.served_model.clone());
        let embeddings = vectors.iter().map(|vector| vector.numbers.clone()).collect();
        let mut response = EmbedResponse::new(self.request.model.clone(), embeddings);
        let last = self.paid.last.take();
        response.usage = self.paid.usage;
        response.cost = self.paid.cost;
        response.request_id = last.as_ref().and_then(|last| last.request_id.clone());
        response.served_model = last.as_ref().and_then(|last| last.served_model.clone()).or(served_model);
        response.metadata = last.map(|last| last.metadata).unwrap_or_default();
        if self.given > 0 {
            response.metadata.insert(CACHED.to_owned(), json!(self.given));
        }
        Ok(response)
    }
}

/// What was paid for the texts that were asked for: nothing at first.
struct Paid {
    calls: u32,
    usage: Option<Usage>,
    cost: Option<Cost>,
    last: Option<EmbedResponse>,
}

impl Default for Paid {
    fn default() -> Self {
        Self { calls: 0, usage: Some(Usage::default()), cost: Some(Cost::ZERO), last: None }
    }
}

impl Paid {
    fn add(&mut self, mut response: EmbedResponse) {
        self.calls += 1;
        self.usage = self.usage.zip(response.usage).map(|(sum, more)| sum + more);
        self.cost = self.cost.zip(response.cost).map(|(sum, more)| sum + more);
        response.embeddings.clear();
        self.last = Some(response);
    }
}
