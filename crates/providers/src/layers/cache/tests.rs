//! The layer over a model that counts its calls and waits when told to.

mod embeddings;
mod flights;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt as _;
use motet_core::message::Message;
use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, Error, ErrorKind, EventStream, FinishReason, Model,
    RunContext, StreamEvent, Usage, accumulate,
};
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::layers::{Bottom, Chain, Stack};

/// Answers as a function of the number of the call says, each after a second.
struct Counted<F> {
    calls: AtomicU32,
    answer: F,
}

type Events = Vec<Result<StreamEvent>>;

#[async_trait]
impl<F: Fn(u32, &RunContext) -> Result<Events> + Send + Sync> Model for Counted<F> {
    async fn open(&self, context: &RunContext, _: &ChatRequest, delivery: Delivery) -> Result<EventStream> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_secs(1)).await;
        let events = (self.answer)(number, context)?;
        if delivery == Delivery::Plain {
            return Ok(futures::stream::iter(events).boxed());
        }
        let paced = futures::stream::iter(events).then(|event| async {
            sleep(Duration::from_secs(1)).await;
            event
        });
        Ok(paced.boxed())
    }
}

/// A model's stack with nothing but the cache, and the count of its calls.
struct Rig<F> {
    model: Arc<Counted<F>>,
    cache: Arc<Cache>,
    stack: Arc<Stack>,
}

fn limits() -> Limits {
    Limits::new(Duration::from_secs(3_600), 1 << 20, 1 << 20)
}

fn rig<F>(mode: CacheMode, answer: F) -> Rig<F>
where
    F: Fn(u32, &RunContext) -> Result<Events> + Send + Sync + 'static,
{
    rig_of(Cache::new(limits()), mode, answer)
}

fn rig_of<F>(cache: Cache, mode: CacheMode, answer: F) -> Rig<F>
where
    F: Fn(u32, &RunContext) -> Result<Events> + Send + Sync + 'static,
{
    let model = Arc::new(Counted { calls: AtomicU32::new(0), answer });
    let cache = Arc::new(cache);
    let layer: Arc<dyn Layer> = Arc::new(CacheLayer::new(Arc::clone(&cache), mode));
    let chain = Chain::new(vec![layer], Bottom::Model(Arc::clone(&model) as Arc<dyn Model>));
    Rig { model, cache, stack: Arc::new(Stack::new(chain, 1, None)) }
}

impl<F> Rig<F> {
    fn calls(&self) -> u32 {
        self.model.calls.load(Ordering::SeqCst)
    }

    async fn ask(&self, context: &RunContext, text: &str) -> Result<ChatResponse> {
        self.ask_for(context, text, Delivery::Plain).await
    }

    async fn ask_for(&self, context: &RunContext, text: &str, delivery: Delivery) -> Result<ChatResponse> {
        let request = request(text);
        let stream = self.stack.open(context, &request, delivery).await?;
        accumulate::fold(request.model, stream).await
    }
}

fn request(text: &str) -> ChatRequest {
    ChatRequest::new("openai:x".parse().unwrap(), vec![Message::user(text)])
}

/// An answer that says its number and cost a nano-dollar more than it.
fn numbered(number: u32, reason: FinishReason) -> Events {
    let text = |text: String| StreamEvent::TextDelta { part: 0, text };
    let cost = Some(Cost::from_nanos(u64::from(number) + 1));
    let events = [
        text("answer ".to_owned()),
        text(number.to_string()),
        StreamEvent::Usage { usage: Usage::new(3, 5) },
        StreamEvent::Finished { reason, raw: None },
        StreamEvent::Cost { cost },
    ];
    events.into_iter().map(Ok).collect()
}

fn good(number: u32, _: &RunContext) -> Result<Events> {
    Ok(numbered(number, FinishReason::Stop))
}

/// A context whose events can be looked at.
fn watched() -> (RunContext, Arc<Mutex<Vec<StreamEvent>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let context = RunContext::new()
        .with_events(Arc::new(move |event: &StreamEvent| sink.lock().unwrap().push(event.clone())));
    (context, seen)
}

#[tokio::test(start_paused = true)]
async fn the_same_request_is_asked_once_and_the_second_answer_costs_nothing() {
    let rig = rig(CacheMode::ReadWrite, good);
    let context = RunContext::new();
    let first = rig.ask(&context, "a").await.unwrap();
    assert_eq!((first.text().as_str(), first.cost), ("answer 0", Some(Cost::from_nanos(1))));
    assert!(first.metadata.is_empty());
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let again = rig.ask_for(&context, "a", delivery).await.unwrap();
        assert_eq!((again.text().as_str(), again.cost), ("answer 0", Some(Cost::ZERO)));
        assert_eq!((again.usage, again.finish_reason), (first.usage, first.finish_reason));
        assert_eq!(
            serde_json::to_value(&again.metadata).unwrap(),
            json!({"cached": true, "saved_cost": 1e-9})
        );
    }
    assert_eq!(rig.ask(&context, "b").await.unwrap().text(), "answer 1");
    assert_eq!(rig.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_told_first_and_counts_as_nothing_used() {
    let rig = rig(CacheMode::ReadWrite, good);
    rig.ask(&RunContext::new(), "a").await.unwrap();
    let stream = rig.stack.open(&RunContext::new(), &request("a"), Delivery::Streamed).await.unwrap();
    let events: Vec<StreamEvent> = stream.map(|event| event.unwrap()).collect().await;
    let StreamEvent::CacheHit { key } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*key, Key::of_chat(&request("a"), &Scope::default()).unwrap().to_string());
    let mut tally = crate::layers::Tally::default();
    events.iter().for_each(|event| tally.note(event));
    assert_eq!((tally.usage, tally.cost), (Some(Usage::default()), Some(Cost::ZERO)));
    assert!(tally.cached && tally.finished);
}

#[tokio::test(start_paused = true)]
async fn each_mode_looks_up_and_keeps_as_it_says() {
    use CacheMode::{Off, Read, ReadWrite, Refresh, Write};
    // Texts of the answers to one request in these modes, one after the other.
    for (modes, answers) in [
        (&[Off, Off, ReadWrite][..], &[0, 1, 2][..]),
        (&[Read, Read, ReadWrite], &[0, 1, 2]),
        (&[Write, Read, ReadWrite], &[0, 0, 0]),
        (&[Write, Write, Read], &[0, 1, 0]),
        (&[ReadWrite, Refresh, Read], &[0, 1, 1]),
        (&[Refresh, ReadWrite, Off, Read], &[0, 0, 1, 0]),
    ] {
        let rig = rig(Off, good);
        let mut said = Vec::new();
        for mode in modes {
            let context = RunContext::new().with_cache(*mode);
            said.push(rig.ask(&context, "a").await.unwrap().text());
        }
        let expected: Vec<String> = answers.iter().map(|number| format!("answer {number}")).collect();
        assert_eq!(said, expected, "{modes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_mode_of_the_run_wins_over_the_settings() {
    let rig = rig(CacheMode::ReadWrite, good);
    let off = RunContext::new().with_cache(CacheMode::Off);
    rig.ask(&off, "a").await.unwrap();
    rig.ask(&off, "a").await.unwrap();
    rig.ask(&RunContext::new(), "a").await.unwrap();
    rig.ask(&RunContext::new(), "a").await.unwrap();
    assert_eq!(rig.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_until_its_time_is_over() {
    let rig = rig(CacheMode::ReadWrite, good);
    rig.ask(&RunContext::new(), "a").await.unwrap();
    tokio::time::advance(Duration::from_secs(3_599)).await;
    assert_eq!(rig.ask(&RunContext::new(), "a").await.unwrap().text(), "answer 0");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(rig.ask(&RunContext::new(), "a").await.unwrap().text(), "answer 1");
}

#[tokio::test(start_paused = true)]
async fn memory_stays_within_its_bytes_and_keeps_what_was_asked_last() {
    let cache = Cache::new(Limits::new(Duration::from_secs(3_600), 20_000, 0));
    let rig = rig_of(cache, CacheMode::ReadWrite, good);
    for number in 0..200 {
        rig.ask(&RunContext::new(), &number.to_string()).await.unwrap();
    }
    let bytes = rig.cache.memory().bytes();
    assert!((10_000..=20_000).contains(&bytes), "{bytes}");
    rig.ask(&RunContext::new(), "199").await.unwrap();
    rig.ask(&RunContext::new(), "0").await.unwrap();
    assert_eq!(rig.calls(), 201);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_good_are_not_kept() {
    let bad = |number: u32, _: &RunContext| {
        let mut events = match number {
            0 => numbered(number, FinishReason::ContentFilter),
            1 => numbered(number, FinishReason::Paused),
            _ => numbered(number, FinishReason::Stop),
        };
        match number {
            2 => drop(events.drain(3..)),
            3 => {
                events.truncate(1);
                events.push(Err(Error::new(ErrorKind::Truncated, "cut")));
            }
            4 => return Err(Error::new(ErrorKind::Overloaded, "busy")),
            5 => events.splice(2.., [Ok(discarded())]).for_each(drop),
            _ => {}
        }
        Ok(events)
    };
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        let rig = rig(CacheMode::ReadWrite, bad);
        for _ in 0..6 {
            let _ = rig.ask_for(&RunContext::new(), "a", delivery).await;
        }
        let last = rig.ask_for(&RunContext::new(), "a", delivery).await.unwrap();
        assert_eq!((last.text().as_str(), rig.calls()), ("answer 6", 7));
        rig.ask_for(&RunContext::new(), "a", delivery).await.unwrap();
        assert_eq!(rig.calls(), 7);
    }
}

fn discarded() -> StreamEvent {
    StreamEvent::OutputDiscarded { error: Box::new(Error::new(ErrorKind::Truncated, "cut").report()) }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_discarded_output_is_not_in_the_kept_answer() {
    let rig = rig(CacheMode::ReadWrite, |number: u32, _: &RunContext| {
        let mut events = numbered(7, FinishReason::Stop);
        events.push(Ok(discarded()));
        events.extend(numbered(number, FinishReason::Stop));
        Ok(events)
    });
    rig.ask_for(&RunContext::new(), "a", Delivery::Streamed).await.unwrap();
    assert_eq!(rig.ask(&RunContext::new(), "a").await.unwrap().text(), "answer 0");
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_model_that_stood_in_is_not_kept() {
    for in_stream in [false, true] {
        let rig = rig(CacheMode::ReadWrite, move |number: u32, context: &RunContext| {
            let mut events = numbered(number, FinishReason::Stop);
            let (from, to) = ("openai:x".parse().unwrap(), "groq:y".parse().unwrap());
            let error = Box::new(Error::new(ErrorKind::Overloaded, "busy").report());
            let fell_back = StreamEvent::FellBack { from, to, error };
            if number == 0 && in_stream {
                events.insert(0, Ok(fell_back));
            } else if number == 0 {
                context.emit(&fell_back);
            }
            Ok(events)
        });
        let (context, seen) = watched();
        for _ in 0..3 {
            rig.ask(&context, "a").await.unwrap();
        }
        assert_eq!(rig.calls(), 2);
        assert_eq!(seen.lock().unwrap().len(), usize::from(!in_stream), "the listener is told all the same");
    }
}

#[tokio::test(start_paused = true)]
async fn another_server_is_asked_anew() {
    let model = Arc::new(Counted { calls: AtomicU32::new(0), answer: good });
    let cache = Arc::new(Cache::new(limits()));
    for (server, said) in
        [(None, "answer 0"), (Some("b"), "answer 1"), (None, "answer 0"), (Some("b"), "answer 1")]
    {
        let layer = CacheLayer::new(Arc::clone(&cache), CacheMode::ReadWrite);
        let layer: Arc<dyn Layer> = Arc::new(layer.with_server(server.map(Into::into)));
        let chain = Chain::new(vec![layer], Bottom::Model(Arc::clone(&model) as Arc<dyn Model>));
        let stack = Stack::new(chain, 1, None);
        let stream = stack.open(&RunContext::new(), &request("a"), Delivery::Plain).await.unwrap();
        let response = accumulate::fold("openai:x".parse().unwrap(), stream).await.unwrap();
        assert_eq!(response.text(), said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_never_gets_the_answer_of_another() {
    let rig = rig(CacheMode::ReadWrite, good);
    let of = |tenant: &str| {
        let tenant = tenant.to_owned();
        RunContext::new().with_attribution(|attribution| attribution.tenant = Some(tenant))
    };
    for (tenant, said) in [("a", "answer 0"), ("b", "answer 1"), ("a", "answer 0")] {
        assert_eq!(rig.ask(&of(tenant), "x").await.unwrap().text(), said);
    }
}

#[tokio::test(start_paused = true)]
async fn rankings_are_given_again_too() {
    // A chain without a bottom that ranks: the layer below it answers.
    struct Ranks(AtomicU32);
    #[async_trait]
    impl Layer for Ranks {
        fn name(&self) -> &'static str {
            "ranks"
        }

        async fn call(&self, call: Call<'_>, _: Next) -> Result<Answer> {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let results = vec![motet_core::rerank::Ranked { index: number as usize, score: 1.0 }];
            let mut response = motet_core::rerank::RerankResponse::new(call.ask.model().clone(), results);
            response.usage = Some(Usage::new(9, 0));
            response.cost = Some(Cost::from_nanos(9));
            Ok(Answer::Ranking(response))
        }
    }
    let layer = CacheLayer::new(Arc::new(Cache::new(limits())), CacheMode::ReadWrite);
    let layers: Vec<Arc<dyn Layer>> = vec![Arc::new(layer), Arc::new(Ranks(AtomicU32::new(0)))];
    let stack = Stack::new(Chain::new(layers, Bottom::None), 1, None);
    let request = |query: &str| motet_core::rerank::RerankRequest {
        model: "cohere:r".parse().unwrap(),
        query: query.to_owned(),
        documents: vec!["one".into()],
        top_n: None,
        extra: serde_json::Map::new(),
    };
    let (context, seen) = watched();
    let mut said = Vec::new();
    for query in ["a", "a", "b", "a"] {
        let response = stack.rerank(&context, &request(query)).await.unwrap();
        said.push((response.results[0].index, response.usage.unwrap().input, response.cost.unwrap().nanos()));
    }
    assert_eq!(said, [(0, 9, 9), (0, 0, 0), (1, 9, 9), (0, 0, 0)]);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_plain_and_a_streamed_call_share_an_answer() {
    let rig = rig(CacheMode::ReadWrite, good);
    let context = RunContext::new();
    rig.ask_for(&context, "a", Delivery::Streamed).await.unwrap();
    assert_eq!(rig.ask(&context, "a").await.unwrap().text(), "answer 0");
    rig.ask(&context, "b").await.unwrap();
    assert_eq!(rig.ask_for(&context, "b", Delivery::Streamed).await.unwrap().text(), "answer 1");
}
