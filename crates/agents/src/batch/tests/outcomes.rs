//! What becomes of requests: answers, values, failures, tries, times, and sums.

use motet_core::request::{JsonSchemaOutput, Output};
use motet_core::{Part, Retry};
use serde_json::json;

use super::*;
use crate::function::function;

#[tokio::test(start_paused = true)]
async fn failures_leave_the_others_alone_and_the_batch_ends_as_its_strategy_says() {
    for (strategy, ends_well) in [(BatchStrategy::Continue, false), (BatchStrategy::Collect, true)] {
        let model = TestModel::new(
            after(10),
            &[("q1", fails(ErrorKind::NotFound)), ("q3", Reply { panics: true, ..after(1) })],
        );
        let batch = Batch::of(questions(5)).options(options(|options| options.strategy = strategy));
        let report = collect(&model, batch).await;
        assert_eq!(statuses(&report.results), "1:succeeded 2:failed 3:succeeded 4:failed 5:succeeded");
        assert_eq!(report.results[3].error().unwrap().message, "the request ended in a panic");
        assert_eq!(report.summary.error().is_none(), ends_well);
        if let Some(error) = report.summary.error() {
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Internal, Retry::Never), "{error}");
            assert!(error.message().starts_with("2 of 5 requests failed; the first, `4`: "), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_may_pass_are_tried_again_after_all_others_and_so_many_times() {
    let twice = Reply { failures: 2, ..fails(ErrorKind::Overloaded) };
    let model = TestModel::new(
        after(10),
        &[("q0", twice), ("q1", fails(ErrorKind::RateLimit)), ("q2", fails(ErrorKind::ContentFilter))],
    );
    let again = options(|options| {
        options.retry_failed = 2;
        options.max_concurrent = 2;
    });
    let report = collect(&model, Batch::of(questions(6)).options(again)).await;
    let asked = model.asked();
    assert_eq!(asked[..6], ["q0", "q1", "q2", "q3", "q4", "q5"]);
    assert_eq!(asked[6..], ["q0", "q1", "q0", "q1"]);
    let found: Vec<(bool, u32)> =
        report.results.iter().map(|result| (result.is_success(), result.attempts)).collect();
    assert_eq!(found, [(true, 3), (false, 3), (false, 1), (true, 1), (true, 1), (true, 1)]);
    assert_eq!(report.results[0].elapsed, Duration::from_millis(30));
    let without = collect(&TestModel::new(fails(ErrorKind::RateLimit), &[]), Batch::of(questions(2))).await;
    assert_eq!(without.results[0].attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_not_tried_again_before_the_time_that_the_other_side_named() {
    let wait = Duration::from_secs(60);
    let limited = Reply { failures: 1, wait: Some(wait), ..fails(ErrorKind::RateLimit) };
    let again = options(|options| options.retry_failed = 1);
    let model = TestModel::new(after(10), &[("q0", limited)]);
    let report = collect(&model, Batch::of(questions(3)).options(again.clone())).await;
    assert_eq!((report.summary.succeeded, report.summary.elapsed.as_secs()), (3, 60));
    assert_eq!(report.results[0].elapsed, Duration::from_millis(20), "waiting is no work");
    let model = TestModel::new(
        after(10),
        &[("q0", Reply { failures: 1, wait: Some(wait), ..fails(ErrorKind::RateLimit) })],
    );
    let context = RunContext::new().with_cancellation(CancellationToken::new());
    let running = Batch::of(questions(3)).options(again).start(&context, models(&model));
    let stop = context.cancellation().clone();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    };
    let (summary, ()) = futures::join!(running.finish(), stopping);
    let summary = summary.unwrap();
    assert_eq!((summary.succeeded, summary.failed, summary.elapsed.as_secs()), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_ends_a_batch_only_when_its_tries_are_used_up() {
    let model = TestModel::new(after(10), &[("q0", Reply { failures: 1, ..fails(ErrorKind::Overloaded) })]);
    let strict = |retry_failed| {
        options(|options| {
            options.strategy = BatchStrategy::FailFast;
            options.retry_failed = retry_failed;
            options.max_concurrent = 1;
        })
    };
    let report = collect(&model, Batch::of(questions(3)).options(strict(1))).await;
    assert_eq!(report.summary.succeeded, 3);
    let model = TestModel::new(after(10), &[("q0", fails(ErrorKind::Overloaded))]);
    let report = collect(&model, Batch::of(questions(3)).options(strict(0))).await;
    assert_eq!((report.summary.failed, report.summary.not_started), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn each_try_of_a_request_has_a_time_of_its_own() {
    let model = TestModel::new(after(300), &[]);
    let requests = [ask("q0"), ask("q1").with_timeout(Duration::from_secs(1)), ask("q2")];
    let short = options(|options| {
        options.timeout = Some(Duration::from_millis(250));
        options.max_concurrent = 1;
        options.retry_failed = 1;
    });
    let report = collect(&model, Batch::of(requests).options(short)).await;
    assert_eq!(statuses(&report.results), "1:failed 2:succeeded 3:failed");
    let error = report.results[2].error().unwrap();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Timeout, "there was no answer within 250ms")
    );
    assert_eq!(report.results[2].attempts, 2);
    assert_eq!(report.summary.elapsed, Duration::from_millis(4 * 250 + 300));
    assert_eq!((report.summary.cost, report.summary.unpriced), (None, 2), "they may have been billed");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_stopped_gives_every_result_and_begins_nothing_more() {
    let model = TestModel::new(after(10), &[]);
    let stop = CancellationToken::new();
    let context = RunContext::new().with_cancellation(stop.clone());
    let mut running = Batch::of(questions(100)).start(&context, models(&model));
    let mut results = Vec::new();
    while let Some(result) = running.next().await {
        results.push(result.unwrap());
        if results.len() == 12 {
            stop.cancel();
        }
    }
    let summary = running.finish().await.unwrap();
    assert_eq!(results.len(), model.asked().len());
    assert!(summary.succeeded >= 12 && summary.failed == 0, "{summary:?}");
    assert_eq!(summary.succeeded + summary.cancelled + summary.not_started, 100);
    assert!(summary.interrupted);
    let error = summary.error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(error.message().ends_with("of 100 requests done"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_callers_time_ends_the_batch() {
    let model = TestModel::new(after(10), &[]);
    let context = RunContext::new().with_timeout(Duration::from_millis(25));
    let report = Batch::of(questions(1_000)).collect(&context, models(&model)).await.unwrap();
    let summary = &report.summary;
    assert_eq!((summary.succeeded, summary.failed, summary.cancelled), (16, 0, 8));
    assert!(summary.interrupted);
    let errors: Vec<ErrorKind> =
        report.results.iter().filter_map(|result| Some(result.error()?.kind)).collect();
    assert_eq!(errors, [ErrorKind::Timeout; 8]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_dropped_stops() {
    let model = TestModel::new(after(10), &[]);
    let mut running = Batch::of(questions(1_000)).start(&RunContext::new(), models(&model));
    running.next().await.unwrap().unwrap();
    drop(running);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(model.asked().len() <= 24, "{}", model.asked().len());
    assert_eq!(model.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn sums_count_every_call_and_tell_what_is_unknown() {
    let unpriced = Reply { nanos: None, ..after(10) };
    let model = TestModel::new(
        Reply { nanos: Some(100), ..after(10) },
        &[("q1", unpriced), ("q2", fails(ErrorKind::InvalidRequest))],
    );
    let summary = collect(&model, Batch::of(questions(4))).await.summary;
    assert_eq!((summary.usage, summary.model_calls), (Usage::new(30, 3), 3));
    assert_eq!((summary.cost, summary.known_cost, summary.unpriced), (None, Cost::from_nanos(200), 1));
    let priced = collect(&TestModel::new(after(10), &[]), Batch::of(questions(4))).await.summary;
    assert_eq!((priced.cost, priced.unpriced), (Some(Cost::from_nanos(4)), 0));
    let nothing = collect(&model, Batch::of([])).await.summary;
    assert_eq!((nothing.total, nothing.cost, nothing.error().is_none()), (0, Some(Cost::ZERO), true));
}

fn by_schema(mut request: BatchRequest) -> BatchRequest {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    request.request.output = Output::JsonSchema(JsonSchemaOutput { name: "n".into(), schema, strict: true });
    request
}

#[tokio::test(start_paused = true)]
async fn an_answer_by_a_schema_is_a_checked_value_and_repairs_are_counted() {
    let repaired = Reply { texts: vec!["no".into(), "{\"n\": 7}".into()], ..after(10) };
    let hopeless = Reply { texts: vec!["no".into(), "never".into()], ..after(10) };
    let model = TestModel::new(after(10), &[("q0", repaired), ("q1", hopeless)]);
    let once = options(|options| options.max_repairs = 1);
    let report = collect(&model, Batch::of(questions(2).map(by_schema)).options(once)).await;
    let answer = report.results[0].answer().unwrap();
    assert_eq!(answer.value, Some(json!({"n": 7})));
    assert_eq!((answer.response.usage, report.results[0].model_calls), (Some(Usage::new(20, 2)), 2));
    assert_eq!(report.results[1].error().unwrap().kind, ErrorKind::InvalidOutput);
    assert_eq!(
        (report.results[1].usage, report.results[1].cost),
        (Usage::new(20, 2), Some(Cost::from_nanos(2)))
    );
    let none = options(|options| options.max_repairs = 0);
    let model = TestModel::new(after(10), &[("q0", Reply { texts: vec!["no".into()], ..after(10) })]);
    let report = collect(&model, Batch::of(questions(1).map(by_schema)).options(none)).await;
    assert_eq!((report.summary.failed, model.asked().len()), (1, 1));
}

/// A model that calls the tool `double`, and answers with the result.
struct Caller(&'static str);

#[async_trait]
impl Model for Caller {
    async fn open(&self, _: &RunContext, request: &ChatRequest, _: Delivery) -> Result<EventStream> {
        let results = request.messages.iter().flat_map(|message| &message.parts);
        let mut result =
            results.filter_map(|part| if let Part::ToolResult(r) = part { Some(r.text()) } else { None });
        let repaired = request.messages.last().unwrap().visible_text().contains("cannot be used");
        let message = match result.next_back() {
            Some(_) if repaired => Message::assistant("{\"n\": 42}"),
            Some(text) => Message::assistant(format!("{}{text}", self.0)),
            None => Message {
                role: motet_core::Role::Assistant,
                parts: vec![Part::ToolCall(motet_core::message::ToolCall {
                    id: "c1".into(),
                    name: "double".into(),
                    arguments: "{\"n\": 21}".into(),
                    minted: false,
                    opaque: None,
                })],
            },
        };
        let mut response = ChatResponse::new(request.model.clone(), message, FinishReason::Stop);
        response.usage = Some(Usage::new(10, 1));
        Ok(ready_stream(unfold(&response)))
    }
}

#[async_trait]
impl Models for Caller {
    async fn model(&self, _: &ModelId) -> Result<Arc<dyn Model>> {
        Ok(Arc::new(Caller(self.0)))
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Double {
    n: i64,
}

fn doubling(request: BatchRequest) -> BatchRequest {
    let tool = function("double", "Doubles", |Double { n }: Double, _| async move { Ok(n * 2) });
    let tool: Arc<dyn motet_core::Tool> = Arc::new(tool);
    request.with_tools([tool])
}

#[tokio::test]
async fn tools_of_a_request_are_run() {
    let report = Batch::of([doubling(ask("Double 21"))])
        .collect(&RunContext::new(), Arc::new(Caller("It is ")))
        .await
        .unwrap();
    let result = &report.results[0];
    assert_eq!(result.text().as_deref(), Some("It is 42"));
    let answer = result.answer().unwrap();
    assert_eq!((answer.tool_history.len(), answer.tool_history[0].result.as_str()), (1, "42"));
    assert_eq!((result.model_calls, result.usage), (2, Usage::new(20, 2)));
}

#[tokio::test]
async fn tools_come_before_a_value_by_schema_and_a_wrong_one_is_repaired() {
    let report = Batch::of([by_schema(doubling(ask("Double 21")))])
        .collect(&RunContext::new(), Arc::new(Caller("It is ")))
        .await
        .unwrap();
    let result = &report.results[0];
    assert_eq!(result.answer().unwrap().value, Some(json!({"n": 42})), "{result:?}");
    assert_eq!((result.model_calls, result.answer().unwrap().response.usage), (3, Some(Usage::new(30, 3))));
    let none = options(|options| options.max_repairs = 0);
    let report = Batch::of([by_schema(doubling(ask("Double 21")))])
        .options(none)
        .collect(&RunContext::new(), Arc::new(Caller("It is ")))
        .await
        .unwrap();
    assert_eq!(report.results[0].error().unwrap().kind, ErrorKind::InvalidOutput);
}

/// A model that calls the tool `double` again and again, and keeps what it was last told by it.
#[derive(Clone, Default)]
struct Stubborn(Arc<std::sync::Mutex<String>>);

#[async_trait]
impl Model for Stubborn {
    async fn open(&self, _: &RunContext, request: &ChatRequest, _: Delivery) -> Result<EventStream> {
        if let Some(Part::ToolResult(told)) = request.messages.last().and_then(|last| last.parts.last()) {
            *self.0.lock().unwrap() = told.text();
        }
        let asked = ChatRequest { messages: vec![Message::user("Double 21")], ..request.clone() };
        Caller("").open(&RunContext::new(), &asked, Delivery::Plain).await
    }
}

#[async_trait]
impl Models for Stubborn {
    async fn model(&self, _: &ModelId) -> Result<Arc<dyn Model>> {
        Ok(Arc::new(self.clone()))
    }
}

#[tokio::test]
async fn every_bound_of_agents_holds_for_requests_with_tools() {
    let bounded = |change: fn(&mut crate::Limits)| async move {
        let model = Stubborn::default();
        let report = Batch::of([doubling(ask("Double 21"))])
            .options(options(|options| change(&mut options.agent)))
            .collect(&RunContext::new(), Arc::new(model.clone()))
            .await
            .unwrap();
        let told = model.0.lock().unwrap().clone();
        (report.results[0].model_calls, report.results[0].error().unwrap().message.clone(), told)
    };
    let (calls, why, told) = bounded(|limits| limits.max_repeated_rounds = 2).await;
    assert!(why.contains("the same results 2 times"), "{why}");
    assert_eq!((calls, told.as_str()), (2, "42"));
    let (calls, why, told) = bounded(|limits| {
        limits.max_repeated_rounds = 0;
        limits.condense = Some(crate::Condense { keep_rounds: 0, max_chars: 1 });
        limits.max_iterations = 3;
    })
    .await;
    assert!(why.contains("all 3 model calls"), "{why}");
    assert_eq!((calls, told.as_str()), (3, "4\n[an older result: the first 1 of 2 characters are left]"));
}

#[tokio::test]
async fn a_request_that_cannot_be_read_fails_alone() {
    let unreadable = Unreadable {
        id: Some("a.txt".into()),
        metadata: serde_json::Map::from_iter([("size".to_owned(), json!(3))]),
        error: Error::new(ErrorKind::NotFound, "there is no file `a.txt`"),
    };
    let model = TestModel::new(after(0), &[]);
    let batch = Batch::new(stream::iter([Err(unreadable), Ok(ask("q").with_metadata("k", 1))]));
    let report = collect(&model, batch).await;
    assert_eq!(statuses(&report.results), "a.txt:failed 2:succeeded");
    assert_eq!(report.results[0].metadata["size"], 3);
    assert_eq!(report.results[1].metadata["k"], 1);
}

#[tokio::test]
async fn listeners_hear_of_every_request_under_its_name() {
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let events = move |event: &motet_core::StreamEvent| {
        if let motet_core::StreamEvent::ModelCallEnded { step, .. } = event {
            sink.lock().unwrap().push(step.clone());
        }
    };
    let context = RunContext::new().with_events(Arc::new(events));
    let model = TestModel::new(after(0), &[]);
    let batch = Batch::of([ask("x").with_id("first"), ask("y").with_key("k")]);
    batch.collect(&context, models(&model)).await.unwrap();
    let mut steps = heard.lock().unwrap().clone();
    steps.sort_unstable();
    assert_eq!(steps, ["first/model", "k/model"]);
    assert!(context.log().records().is_empty(), "the caller's log would grow with the batch");
}

#[test]
fn a_result_reads_back_as_written() {
    let golden = include_str!("golden-v1.jsonl");
    assert_eq!(golden.lines().count(), 3);
    for line in golden.lines() {
        let result: BatchResult = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&result).unwrap(), line);
    }
}
