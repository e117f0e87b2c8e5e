//! Retries over a simulated model: waits, limits, recovered streams, and who is told of what.

use std::sync::Mutex;

use futures::StreamExt as _;
use motet_core::Model as _;
use tokio::time::Instant;

use super::*;
use crate::layers::trial::{Trial, ask, listening, request, with};
use crate::layers::{Bottom, Chain, Outcome, Stack};
use crate::simulated::{self, Fault, Stage};

const SECOND: Duration = Duration::from_secs(1);
const BOTH: [Delivery; 2] = [Delivery::Plain, Delivery::Streamed];

fn overloaded(stage: Stage) -> Fault {
    Fault::new(stage, ErrorKind::Overloaded)
}

/// A provider whose first requests have these faults.
fn faulty(faults: impl IntoIterator<Item = Fault>) -> simulated::Rules {
    simulated::Rules { faults: (0..).zip(faults).collect(), ..simulated::Rules::new() }
}

fn rules() -> Rules {
    Rules { min_delay: SECOND, max_delay: 4 * SECOND, ..Rules::default() }
}

fn layer(rules: Rules) -> Arc<dyn Layer> {
    Arc::new(RetryLayer::new(rules, Chance::seeded(1), None))
}

fn retried(trial: &Trial, rules: Rules, max_attempts: u32) -> Stack {
    trial.stack(vec![layer(rules)], max_attempts)
}

fn text() -> String {
    (0..20).map(|number| format!("word{number} ")).collect()
}

#[tokio::test(start_paused = true)]
async fn waits_are_drawn_up_to_a_growing_limit_and_told_of() {
    let trial = Trial::new(faulty((0..4).map(|_| overloaded(Stage::InHeaders))));
    let (context, events) = listening();
    let start = Instant::now();
    let came = ask(&retried(&trial, rules(), 5), &context, Delivery::Plain).await;
    assert_eq!((came.text(), trial.arrived()), (text(), 5));
    let events = events.lock().unwrap();
    let waits: Vec<(u32, u64)> = events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::Retrying { attempt, delay_ms, error } => {
                assert_eq!(error.kind, ErrorKind::Overloaded);
                Some((*attempt, *delay_ms))
            }
            _ => None,
        })
        .collect();
    assert_eq!(waits.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [2, 3, 4, 5]);
    for ((_, delay), limit) in waits.iter().zip([1_000, 2_000, 4_000, 4_000]) {
        assert!(*delay <= limit, "{delay} is over {limit}");
    }
    let told: u64 = waits.iter().map(|(_, delay)| delay).sum();
    let took = start.elapsed().as_millis();
    assert!((u128::from(told)..=u128::from(told) + 8).contains(&took), "{took} ms for waits of {told} ms");
}

#[tokio::test(start_paused = true)]
async fn the_time_that_the_provider_names_is_waited_for_whatever_the_limits() {
    for advice in [Duration::from_millis(3), 90 * SECOND] {
        let trial = Trial::new(faulty([overloaded(Stage::InHeaders).with_retry_after(advice)]));
        let start = Instant::now();
        let came = ask(&retried(&trial, rules(), 3), &RunContext::new(), Delivery::Streamed).await;
        assert_eq!((came.text(), trial.arrived()), (text(), 2));
        let took = start.elapsed();
        assert!((advice..=advice + Duration::from_millis(2)).contains(&took), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn advice_that_does_not_fit_the_time_fails_at_once_and_is_handed_on() {
    let advice = 90 * SECOND;
    let rule = || faulty([overloaded(Stage::InHeaders).with_retry_after(advice)]);
    let trial = Trial::new(rule());
    let start = Instant::now();
    let chain = trial.chain(vec![layer(rules())]);
    let came = ask(&Stack::new(chain, 3, Some(89 * SECOND)), &RunContext::new(), Delivery::Plain).await;
    assert_eq!(
        (came.error().retry_after(), start.elapsed(), trial.arrived()),
        (Some(advice), Duration::ZERO, 1)
    );

    let trial = Trial::new(rule());
    let context = RunContext::new().with_timeout(60 * SECOND);
    let came = ask(&retried(&trial, rules(), 3), &context, Delivery::Plain).await;
    assert_eq!(
        (came.error().retry_after(), start.elapsed(), trial.arrived()),
        (Some(advice), Duration::ZERO, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_the_run_is_cancelled() {
    let trial = Trial::new(faulty([overloaded(Stage::InHeaders).with_retry_after(90 * SECOND)]));
    let attempts = Attempts::new(3, None).into();
    let context = with(&attempts);
    let cancellation = context.cancellation().clone();
    tokio::spawn(async move {
        tokio::time::sleep(7 * SECOND).await;
        cancellation.cancel();
    });
    let start = Instant::now();
    let came = ask(&retried(&trial, rules(), 3), &context, Delivery::Plain).await;
    assert_eq!((came.error().kind(), trial.arrived()), (ErrorKind::Cancelled, 1));
    assert_eq!((start.elapsed(), attempts.sent()), (7 * SECOND, 1), "the second was not sent");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_after_the_end_of_the_run() {
    for stopped in [true, false] {
        let trial = Trial::new(simulated::Rules {
            latency: SECOND,
            always: Some(overloaded(Stage::InHeaders)),
            ..simulated::Rules::new()
        });
        let context = if stopped {
            let context = RunContext::new();
            context.cancellation().cancel();
            context
        } else {
            RunContext::new().with_timeout(SECOND / 2)
        };
        let came = ask(&retried(&trial, rules(), 9), &context, Delivery::Plain).await;
        assert_eq!((came.error().kind(), trial.arrived()), (ErrorKind::Overloaded, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_error_tells_of_the_attempts() {
    for delivery in BOTH {
        let faults = [
            overloaded(Stage::InHeaders),
            Fault::new(Stage::AfterConnect, ErrorKind::Connection),
            Fault::new(Stage::MidBody, ErrorKind::Truncated),
        ];
        let trial = Trial::new(faulty(faults));
        let came = ask(&retried(&trial, rules(), 3), &RunContext::new(), delivery).await;
        assert_eq!((came.error().kind(), trial.arrived()), (ErrorKind::Truncated, 3));
        assert_eq!(came.error().context(), [("attempts".into(), "3".to_owned())]);

        let trial = Trial::new(faulty([overloaded(Stage::InHeaders), overloaded(Stage::MidStream)]));
        let came = ask(&retried(&trial, rules(), 2), &RunContext::new(), delivery).await;
        assert_eq!(came.error().context(), [("attempts".into(), "2".to_owned())]);

        let trial = Trial::new(faulty([overloaded(Stage::InHeaders)]));
        let came = ask(&retried(&trial, rules(), 1), &RunContext::new(), delivery).await;
        assert_eq!(came.error().context(), [], "one attempt goes without saying");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_is_not_sent_again_unless_it_may_be_declared_void() {
    let broken = || Trial::new(faulty([overloaded(Stage::MidStream)]));
    let trial = broken();
    let came = ask(&retried(&trial, rules(), 3), &RunContext::new(), Delivery::Streamed).await;
    assert_eq!((came.error().kind(), trial.arrived(), came.discarded()), (ErrorKind::Overloaded, 1, 0));
    assert_eq!(came.error().context(), []);

    let trial = broken();
    let recovers = Rules { recover_streams: true, ..rules() };
    let came = ask(&retried(&trial, recovers, 3), &RunContext::new(), Delivery::Streamed).await;
    assert!(came.error.is_none());
    assert_eq!((came.text(), trial.arrived(), came.discarded()), (text(), 2, 1));

    let trial = broken();
    let came = ask(&retried(&trial, rules(), 3), &RunContext::new(), Delivery::Plain).await;
    assert_eq!(
        (came.text(), trial.arrived(), came.discarded()),
        (text(), 2, 0),
        "a plain answer shows nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_recovers_as_often_as_attempts_allow_and_keeps_what_was_shown_last() {
    let faults = || [Stage::MidStream, Stage::MidBody, Stage::MidStream].map(overloaded);
    let recovers = || Rules { recover_streams: true, ..rules() };
    let trial = Trial::new(faulty(faults()));
    let came = ask(&retried(&trial, recovers(), 4), &RunContext::new(), Delivery::Streamed).await;
    assert_eq!((came.text(), trial.arrived(), came.discarded()), (text(), 4, 2));

    let trial = Trial::new(faulty(faults()));
    let came = ask(&retried(&trial, recovers(), 3), &RunContext::new(), Delivery::Streamed).await;
    assert_eq!((came.error().kind(), trial.arrived(), came.discarded()), (ErrorKind::Overloaded, 3, 1));
    assert_eq!(came.error().context(), [("attempts".into(), "3".to_owned())]);
    assert!(text().starts_with(&came.text()) && !came.text().is_empty(), "nothing came in its place");

    let trial = Trial::new(faulty(faults()));
    let came = ask(&retried(&trial, recovers(), 2), &RunContext::new(), Delivery::Streamed).await;
    assert_eq!((trial.arrived(), came.discarded()), (2, 0), "the second showed nothing");
    assert!(!came.text().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_complete_answer_stays_complete_whatever_comes_after_it() {
    for delivery in BOTH {
        for recover_streams in [true, false] {
            let trial = Trial::new(faulty([overloaded(Stage::AfterFinish)]));
            let rules = Rules { recover_streams, ..rules() };
            let came = ask(&retried(&trial, rules, 3), &RunContext::new(), delivery).await;
            assert!(came.error.is_none());
            assert_eq!((came.text(), trial.arrived(), came.discarded()), (text(), 1, 0));
            let Some(StreamEvent::Warning { message }) = came.events.last() else { panic!("{came:?}") };
            assert!(message.contains("`overloaded`"), "{message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_complete_answer_does_not_wait_for_the_end_of_its_stream() {
    for (timeout, most) in [(None, 5 * SECOND), (Some(2 * SECOND), SECOND)] {
        for delivery in BOTH {
            let trial = Trial::new(faulty([overloaded(Stage::AfterFinish).hanging()]));
            let context = RunContext::new();
            let context = timeout.map_or(context.clone(), |timeout| context.with_timeout(timeout));
            let start = Instant::now();
            let came = ask(&retried(&trial, rules(), 3), &context, delivery).await;
            assert_eq!((came.text(), came.error.is_none()), (text(), true));
            assert!(matches!(came.events.last(), Some(StreamEvent::Warning { .. })));
            let took = start.elapsed();
            assert!((most..=most + SECOND / 100).contains(&took), "{took:?}");
        }
    }
}

/// Ends its stream in the middle, without an error.
struct Silent;

#[async_trait]
impl motet_core::Model for Silent {
    async fn open(&self, _: &RunContext, _: &motet_core::ChatRequest, _: Delivery) -> Result<EventStream> {
        Ok(motet_core::event::ready_stream(vec![StreamEvent::TextDelta { part: 0, text: "half".into() }]))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_without_a_word_is_cut() {
    let chain = || Chain::new(vec![layer(rules())], Bottom::Model(Arc::new(Silent)));
    let came = ask(&Stack::new(chain(), 2, None), &RunContext::new(), Delivery::Streamed).await;
    assert_eq!((came.text().as_str(), came.error().kind()), ("half", ErrorKind::Truncated));
    let came = ask(&Stack::new(chain(), 2, None), &RunContext::new(), Delivery::Plain).await;
    assert_eq!((came.events.len(), came.error().kind()), (0, ErrorKind::Truncated));
    assert_eq!(came.error().context(), [("attempts".into(), "2".to_owned())]);
}

/// Answers what a list says, and keeps what it was asked.
struct Words {
    judgements: Mutex<Vec<Judgement>>,
    heard: Mutex<Vec<(u32, ErrorKind, bool)>>,
}

impl Words {
    fn new(judgements: Vec<Judgement>) -> Arc<Self> {
        Arc::new(Self { judgements: Mutex::new(judgements), heard: Mutex::default() })
    }
}

#[async_trait]
impl RetryJudge for Words {
    async fn judge(&self, failure: &Failure<'_>) -> Judgement {
        self.heard.lock().unwrap().push((failure.attempt, failure.error.kind(), failure.retried));
        self.judgements.lock().unwrap().remove(0)
    }
}

async fn judged(
    judgements: Vec<Judgement>,
    faults: Vec<Fault>,
    max_attempts: u32,
) -> (Option<ErrorKind>, u64, Arc<Words>) {
    let judge = Words::new(judgements);
    let trial = Trial::new(faulty(faults));
    let layer = RetryLayer::new(rules(), Chance::seeded(1), Some(Arc::clone(&judge) as Arc<dyn RetryJudge>));
    let stack = trial.stack(vec![Arc::new(layer)], max_attempts);
    let came = ask(&stack, &RunContext::new(), Delivery::Plain).await;
    (came.error.map(|error| error.kind()), trial.arrived(), judge)
}

#[tokio::test(start_paused = true)]
async fn a_judge_decides_in_both_directions_and_within_the_attempts() {
    let busy = || overloaded(Stage::InHeaders);
    let wrong = || Fault::new(Stage::InHeaders, ErrorKind::InvalidRequest);
    let (outcome, arrived, _) = judged(vec![Judgement::Stop], vec![busy()], 3).await;
    assert_eq!((outcome, arrived), (Some(ErrorKind::Overloaded), 1));
    let (outcome, arrived, judge) =
        judged(vec![Judgement::Again, Judgement::AsSet], vec![wrong(), busy()], 3).await;
    assert_eq!((outcome, arrived), (None, 3));
    let heard = judge.heard.lock().unwrap().clone();
    assert_eq!(heard, [(1, ErrorKind::InvalidRequest, false), (2, ErrorKind::Overloaded, true)]);
    let (outcome, arrived, _) = judged(vec![Judgement::AsSet], vec![wrong()], 3).await;
    assert_eq!((outcome, arrived), (Some(ErrorKind::InvalidRequest), 1));
    let (outcome, arrived, judge) = judged(vec![Judgement::Again], vec![busy(), busy()], 2).await;
    assert_eq!((outcome, arrived), (Some(ErrorKind::Overloaded), 2));
    assert_eq!(judge.heard.lock().unwrap().len(), 1, "it is not asked when no attempt is left");
    let cancelled = Fault::new(Stage::InHeaders, ErrorKind::Cancelled);
    let (outcome, arrived, judge) = judged(vec![Judgement::Again], vec![cancelled], 3).await;
    assert_eq!((outcome, arrived), (Some(ErrorKind::Cancelled), 1));
    assert!(judge.heard.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_judge_changes_lasts_for_all_later_attempts() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let model = crate::scripted::ScriptedModel::from_fn(move |request| {
        keep.lock().unwrap().push((request.model.to_string(), request.max_tokens));
        Err(Error::new(ErrorKind::TokenLimit, "too long"))
    });
    let mut shorter = motet_core::ChatRequest { max_tokens: Some(7), ..request() };
    shorter.model = "other:model".parse().unwrap();
    let shorter = Ask::Chat { request: crate::layers::Lent::owned(shorter), delivery: Delivery::Plain };
    let judge = Words::new(vec![Judgement::AgainWith(Box::new(shorter)), Judgement::Again]);
    let layer = RetryLayer::new(rules(), Chance::seeded(1), Some(judge));
    let chain = Chain::new(vec![Arc::new(layer)], Bottom::Model(Arc::new(model)));
    ask(&Stack::new(chain, 3, None), &RunContext::new(), Delivery::Plain).await;
    let model = || "simulated:a".to_owned();
    assert_eq!(*seen.lock().unwrap(), [(model(), None), (model(), Some(7)), (model(), Some(7))]);
}

/// Notes how each attempt ended.
struct Noting(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Layer for Noting {
    fn name(&self) -> &'static str {
        "noting"
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        let notes = Arc::clone(&self.0);
        call.on_end(move |ending| {
            notes.lock().unwrap().push(match ending.outcome {
                Outcome::Done => {
                    format!("done with {:?}", ending.tally.usage.and_then(|usage| usage.output.into()))
                }
                Outcome::Failed(error) => format!("failed with {}", error.kind()),
                Outcome::Dropped => "dropped".to_owned(),
            });
        });
        next.call(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_of_once_however_it_ends() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let inside = |trial: &Trial, rules: Rules| {
        trial.stack(vec![layer(rules), Arc::new(Noting(Arc::clone(&notes)))], 3)
    };
    let taken = || std::mem::take(&mut *notes.lock().unwrap());
    for delivery in BOTH {
        let trial = Trial::new(faulty([Stage::InHeaders, Stage::MidBody].map(overloaded)));
        ask(&inside(&trial, rules()), &RunContext::new(), delivery).await;
        assert_eq!(taken(), ["failed with overloaded", "failed with overloaded", "done with Some(20)"]);
    }
    let trial = Trial::new(faulty([Stage::MidStream].map(overloaded)));
    let recovers = Rules { recover_streams: true, ..rules() };
    ask(&inside(&trial, recovers), &RunContext::new(), Delivery::Streamed).await;
    assert_eq!(taken(), ["failed with overloaded", "done with Some(20)"]);

    let trial = Trial::new(simulated::Rules { between: SECOND, ..simulated::Rules::new() });
    let stack = inside(&trial, rules());
    let mut stream = stack.open(&RunContext::new(), &request(), Delivery::Streamed).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(taken(), ["dropped"], "amid the answer");
    let opening = async { stack.open(&RunContext::new(), &request(), Delivery::Plain).await.map(|_| ()) };
    assert!(tokio::time::timeout(SECOND / 2, opening).await.is_err());
    assert_eq!(taken(), ["dropped"], "before it began");
}

#[tokio::test(start_paused = true)]
async fn observers_outside_are_told_once_of_all_attempts_together() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let outside = |trial: &Trial| trial.stack(vec![Arc::new(Noting(Arc::clone(&notes))), layer(rules())], 2);
    let taken = || std::mem::take(&mut *notes.lock().unwrap());
    let trial = Trial::new(faulty([Stage::InHeaders].map(overloaded)));
    ask(&outside(&trial), &RunContext::new(), Delivery::Streamed).await;
    assert_eq!(taken(), ["done with Some(20)"]);
    let trial = Trial::new(faulty([overloaded(Stage::InHeaders).with_retry_after(90 * SECOND)]));
    let stack = outside(&trial);
    let opening = async { stack.open(&RunContext::new(), &request(), Delivery::Plain).await.map(|_| ()) };
    assert!(tokio::time::timeout(SECOND, opening).await.is_err());
    assert_eq!(taken(), ["dropped"], "while it waited");
}

#[tokio::test(start_paused = true)]
async fn turns_of_one_call_share_its_resends() {
    let trial = Trial::new(faulty((0..9).map(|_| overloaded(Stage::InHeaders))));
    let attempts = Attempts::new(3, None).into();
    let stack = retried(&trial, rules(), 3);
    let mut sent = Vec::new();
    for _ in 0..3 {
        ask(&stack, &with(&attempts), Delivery::Plain).await;
        sent.push(trial.arrived());
    }
    assert_eq!(sent, [3, 4, 5], "two resends in all, and the first send of each turn");
}
