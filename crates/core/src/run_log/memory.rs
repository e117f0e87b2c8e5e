//! A log that lives as long as the process, and so does no work for readers that never come.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use super::{Asked, Entries, Entry, Kept, Record, RunLog, Step, StepState};
use crate::context::Attribution;
use crate::error::Result;
use crate::response::ChatResponse;
use crate::tool::ToolOutput;

/// A log that lives as long as the process.
#[derive(Debug, Default)]
pub struct MemoryLog(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    entries: Entries,
    /// What entries lack as long as nobody reads them, and their places.
    unwritten: Vec<(usize, Unwritten)>,
}

#[derive(Debug)]
enum Unwritten {
    /// What is asked, whose hash is to be taken.
    Asked(Kept),
    /// What a model answered.
    Answer(Box<ChatResponse>),
    /// What a tool answered.
    Output(Box<ToolOutput>),
}

impl Memory {
    /// Gives the entries with all that they lack.
    fn whole(&mut self) -> &Entries {
        for (place, unwritten) in self.unwritten.drain(..) {
            // Nothing in a request or an answer is without a form in JSON.
            match (self.entries.entry(place), unwritten) {
                (Some(Entry::Started { request_hash, .. }), Unwritten::Asked(asked)) => {
                    *request_hash = asked.hash().unwrap_or_default();
                }
                (Some(Entry::Finished { result }), Unwritten::Answer(response)) => {
                    *result = serde_json::to_value(response).unwrap_or_default();
                }
                (Some(Entry::Finished { result }), Unwritten::Output(output)) => {
                    *result = serde_json::to_value(output).unwrap_or_default();
                }
                _ => {}
            }
        }
        &self.entries
    }

    fn push(&mut self, record: Record, unwritten: Unwritten) {
        self.unwritten.push((self.entries.records().len(), unwritten));
        self.entries.push(record);
    }
}

impl MemoryLog {
    fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FromIterator<Record> for MemoryLog {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        Self(Mutex::new(Memory { entries: records.into_iter().collect(), ..Memory::default() }))
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

    fn begin_unhashed(
        &self,
        key: &str,
        step: &Step<'_>,
        by: Option<&Arc<Attribution>>,
        asked: &Asked<'_>,
    ) -> bool {
        self.with(|memory| {
            let is_new = !memory.entries.knows(key);
            if is_new {
                let record = Record::new(key, step.started(None)).with_attribution(by);
                memory.push(record, Unwritten::Asked(asked.keep()));
            }
            is_new
        })
    }

    async fn answered(&self, step: String, response: &ChatResponse) -> Result<()> {
        let record = Record::new(step, Entry::Finished { result: Value::Null });
        self.with(|memory| memory.push(record, Unwritten::Answer(Box::new(response.clone()))));
        Ok(())
    }

    async fn tool_ended(&self, step: String, output: &ToolOutput) -> Result<()> {
        let record = Record::new(step, Entry::Finished { result: Value::Null });
        self.with(|memory| memory.push(record, Unwritten::Output(Box::new(output.clone()))));
        Ok(())
    }

    fn asks_models_below(&self, step: &str) -> bool {
        self.with(|memory| memory.entries.asks_models_below(step))
    }

    fn records(&self) -> Vec<Record> {
        self.with(|memory| memory.whole().records().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::id::content_hash;
    use crate::message::Message;
    use crate::request::ChatRequest;
    use crate::response::FinishReason;
    use crate::run_log::{Begun, StepKind};
    use crate::tool::Effect;
    use crate::{ModelId, RunContext};

    fn step<'a>(name: &'a str, request_hash: &'a str) -> Step<'a> {
        Step { name, kind: StepKind::Model, request_hash, effect: Effect::Pure, label: "openai:m" }
    }

    #[tokio::test]
    async fn what_is_written_late_reads_as_if_it_had_been_written_at_once() {
        let id: ModelId = "openai:m".parse().unwrap();
        let request = ChatRequest::new(id.clone(), vec![Message::user("Hi")]);
        let other = ChatRequest::new(id.clone(), vec![Message::user("Ho")]);
        let response = ChatResponse::new(id, Message::assistant("Hello"), FinishReason::Stop);
        let hash = content_hash(&request).unwrap();
        let recorded = async |late: bool| {
            let context = RunContext::new();
            let begin = async |name, request| match late {
                true => context.begin_asking(step(name, ""), request).await,
                false => context.begin(step(name, &content_hash(request).unwrap())).await,
            };
            for name in ["one", "two"] {
                let Begun::Fresh(pending) = begin(name, &request).await.unwrap() else { panic!("{name}") };
                match late {
                    true => pending.answered(&response).await.unwrap(),
                    false => pending.finish(&response).await.unwrap(),
                }
            }
            let Begun::Recorded(value) = begin("one", &request).await.unwrap() else { panic!("one") };
            assert_eq!(serde_json::from_value::<ChatResponse>(value).unwrap(), response);
            let changed = begin("two", &other).await.err().unwrap();
            assert_eq!(changed.kind(), ErrorKind::Conflict);
            let records = context.log().records();
            records
                .iter()
                .map(|record| (record.step().to_owned(), record.entry().clone()))
                .collect::<Vec<_>>()
        };
        let late = recorded(true).await;
        assert_eq!(late, recorded(false).await);
        assert!(
            matches!(&late[0].1, Entry::Started { request_hash, .. } if *request_hash == hash),
            "{late:?}"
        );
    }
}
