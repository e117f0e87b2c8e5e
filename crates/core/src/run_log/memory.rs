//! A log that lives as long as the process, and so does no work for readers that never come.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use super::{Entries, Entry, Record, RunLog, StepState};
use crate::error::Result;
use crate::response::ChatResponse;

/// A log that lives as long as the process.
#[derive(Debug, Default)]
pub struct MemoryLog(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    entries: Entries,
    /// Answers that were not written out yet, and the places of their entries.
    answers: Vec<(usize, ChatResponse)>,
}

impl Memory {
    /// Gives the entries with all answers written out.
    fn whole(&mut self) -> &Entries {
        for (place, response) in self.answers.drain(..) {
            // Nothing in an answer is without a form in JSON.
            let result = serde_json::to_value(response).unwrap_or_default();
            self.entries.fill(place, result);
        }
        &self.entries
    }
}

impl MemoryLog {
    fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FromIterator<Record> for MemoryLog {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        Self(Mutex::new(Memory { entries: records.into_iter().collect(), answers: Vec::new() }))
    }
}

#[async_trait]
impl RunLog for MemoryLog {
    fn lookup(&self, step: &str) -> Option<StepState> {
        self.with(|memory| {
            if memory.entries.knows(step) {
                return memory.whole().lookup(step);
            }
            None
        })
    }

    async fn append(&self, records: Vec<Record>) -> Result<()> {
        self.with(|memory| records.into_iter().for_each(|record| memory.entries.push(record)));
        Ok(())
    }

    async fn answered(&self, step: String, response: &ChatResponse) -> Result<()> {
        self.with(|memory| {
            memory.answers.push((memory.entries.records().len(), response.clone()));
            memory.entries.push(Record::new(step, Entry::Finished { result: Value::Null }));
        });
        Ok(())
    }

    fn records(&self) -> Vec<Record> {
        self.with(|memory| memory.whole().records().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::response::FinishReason;
    use crate::run_log::{Begun, Step, StepKind};
    use crate::tool::Effect;
    use crate::{ModelId, RunContext};

    #[tokio::test]
    async fn an_answer_reads_as_if_it_had_been_written_at_once() {
        let id: ModelId = "openai:m".parse().unwrap();
        let response = ChatResponse::new(id, Message::assistant("Hello"), FinishReason::Stop);
        let step = |name| Step {
            name,
            kind: StepKind::Model,
            request_hash: "h",
            effect: Effect::Pure,
            label: "openai:m",
        };
        let recorded = async |later: bool| {
            let context = RunContext::new();
            for name in ["one", "two"] {
                let Begun::Fresh(pending) = context.begin(step(name)).await.unwrap() else { panic!("{name}") };
                let ended = if later { pending.answered(&response).await } else { pending.finish(&response).await };
                ended.unwrap();
            }
            let Begun::Recorded(value) = context.begin(step("one")).await.unwrap() else { panic!("one") };
            assert_eq!(serde_json::from_value::<ChatResponse>(value).unwrap(), response);
            context.log().records().iter().map(|record| (record.step().to_owned(), record.entry().clone())).collect::<Vec<_>>()
        };
        assert_eq!(recorded(true).await, recorded(false).await);
    }
}
