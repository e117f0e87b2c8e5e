//! Compaction: when it happens, what it costs, what it sends, and what it leaves alone.

use std::sync::atomic::AtomicBool;

use motet_core::conversation::may_cut;
use motet_core::message::ToolResult;
use proptest::prelude::*;

use super::*;

/// Answers everything at some length, and writes summaries when it is told to.
fn wordy(words: usize) -> Arc<Talker> {
    Talker::new(move |request| {
        let summarises = request.messages.first().is_some_and(|first| first.visible_text() == DEFAULT_PROMPT);
        Ok(Message::assistant(if summarises { "They talked.".to_owned() } else { "word ".repeat(words) }))
    })
}

fn is_summary(request: &ChatRequest) -> bool {
    request.messages.first().is_some_and(|first| first.visible_text() == DEFAULT_PROMPT)
}

#[tokio::test]
async fn five_hundred_turns_stay_below_the_limit_at_one_call_for_each_summary() {
    let model = wordy(40);
    let limit = 4_000;
    let rules = Compaction::new(limit);
    let (keep, summary) = (rules.keep_recent_tokens, 60);
    let session = Session::new(builder().build().unwrap(), model.clone()).with_compaction(rules).unwrap();
    for number in 0..500 {
        let _ = session
            .send(&RunContext::new(), format!("question {number} of many"))
            .await
            .into_result()
            .unwrap();
    }
    let asked = model.asked.lock().unwrap().clone();
    let summaries = asked.iter().filter(|request| is_summary(request)).count();
    let kept = session.conversation().await.unwrap();
    assert_eq!(
        (summaries, asked.len()),
        (kept.summaries.len(), 500 + summaries),
        "one call for each summary"
    );
    let largest = asked.iter().filter(|request| !is_summary(request)).map(tokens::estimate).max().unwrap();
    assert!(largest <= limit, "{largest} tokens were sent");
    // A turn has about 65 tokens, and the room between what stays and the limit holds so many of them.
    let turn = kept.messages().map(tokens::message).sum::<u64>() / 500;
    let ideal = 500 * turn / (limit - keep - summary);
    let most = usize::try_from(ideal).unwrap() * 12 / 10 + 1;
    assert!((2..=most).contains(&summaries), "{summaries} summaries, at most {most} were expected");
    assert_eq!((kept.head.turns, kept.head.messages), (500, 1_000), "the messages themselves stay");
    assert_eq!(kept.head.cost, Some(Cost::from_nanos(3 * asked.len() as u64)), "summaries are paid for too");
    // Each summary is made of the one before it and what came since, never of everything.
    let longest = asked.iter().filter(|request| is_summary(request)).map(tokens::estimate).max().unwrap();
    assert!(longest <= limit + 1_000, "{longest} tokens were summarised at once");
}

#[tokio::test]
async fn a_summary_says_what_it_is_and_speaks_as_no_authority() {
    let model = wordy(100);
    let session = Session::new(builder().build().unwrap(), model.clone())
        .with_compaction(Compaction::new(600))
        .unwrap();
    while session.conversation().await.unwrap().summaries.is_empty() {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    let sent = model.last();
    assert_eq!((sent[0].role, sent[0].visible_text().as_str()), (Role::System, "Be brief."));
    let note = sent[1].visible_text();
    assert_eq!(sent[1].role, Role::User);
    assert!(note.starts_with("[Summary of the first ") && note.contains("not an instruction"), "{note}");
    assert!(note.ends_with("<summary>\nThey talked.\n</summary>"), "{note}");
}

/// Fails as long as it is told to, and then writes summaries.
fn broken(is_whole: &Arc<AtomicBool>) -> Arc<Talker> {
    let is_whole = Arc::clone(is_whole);
    Talker::new(move |_| match is_whole.load(Ordering::SeqCst) {
        true => Ok(Message::assistant("They talked.")),
        false => Err(Error::new(ErrorKind::Overloaded, "no")),
    })
}

#[tokio::test]
async fn a_summary_that_fails_lets_the_turn_go_on_and_is_tried_again_when_the_conversation_has_grown() {
    let is_whole = Arc::new(AtomicBool::new(false));
    let (model, broken) = (wordy(20), broken(&is_whole));
    let rules = Compaction::new(1_600).summarised_by(id("scripted:small"), broken.clone());
    let session = Session::new(builder().build().unwrap(), model.clone()).with_compaction(rules).unwrap();
    let mut tried = Vec::new();
    for _ in 0..60 {
        let before = broken.calls();
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
        let sent = ChatRequest::new(id("scripted:test"), model.last());
        tried.extend((broken.calls() > before).then(|| tokens::estimate(&sent)));
    }
    assert!(tried.len() > 2 && tried[0] > 1_550, "{tried:?}");
    // A turn has about 35 tokens, and between two tries the request grows by 200.
    let steps: Vec<u64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| (200..250).contains(step)), "{steps:?}");
    // A summary that is written at last ends the waiting.
    is_whole.store(true, Ordering::SeqCst);
    while session.conversation().await.unwrap().summaries.is_empty() {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    assert_eq!(session.conversation().await.unwrap().turns.last().unwrap().unsummarised, None);
    is_whole.store(false, Ordering::SeqCst);
    let calls = broken.calls();
    while broken.calls() == calls {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    let sent = ChatRequest::new(id("scripted:test"), model.last());
    assert!(
        (1_550..1_700).contains(&tokens::estimate(&sent)),
        "the first failure behind it is met at the limit"
    );
}

#[tokio::test]
async fn a_summary_that_failed_is_known_to_whoever_opens_the_conversation_and_to_resumed_turns() {
    let is_whole = Arc::new(AtomicBool::new(false));
    let (model, broken) = (wordy(20), broken(&is_whole));
    let rules = || Compaction::new(1_600).summarised_by(id("scripted:small"), broken.clone());
    let agent = || builder().build().unwrap();
    let session = Session::new(agent(), model.clone()).with_compaction(rules()).unwrap();
    let first = RunContext::new();
    while broken.calls() == 0 {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    let kept = session.conversation().await.unwrap();
    let failed = kept.turns.last().unwrap().unsummarised.unwrap();
    assert!(failed.tokens > 1_600 && failed.summarised == 0, "{failed:?}");
    let opened = || Session::of(kept.clone(), agent(), model.clone()).with_compaction(rules()).unwrap();
    let _ = opened().send(&first, "go").await.into_result().unwrap();
    assert_eq!(broken.calls(), 1, "not at once again");
    // The same turn over the same log sends the same, though the summary would succeed now.
    is_whole.store(true, Ordering::SeqCst);
    let again = RunContext::with_log(first.run_id().clone(), Arc::clone(first.log()));
    let resumed = opened();
    let _ = resumed.send(&again, "go").await.into_result().unwrap();
    assert_eq!(broken.calls(), 1);
    assert_eq!(resumed.conversation().await.unwrap().turns.last().unwrap().unsummarised, Some(failed));
}

#[tokio::test]
async fn a_turn_that_failed_beside_its_summary_does_not_have_the_next_one_try_at_once() {
    let is_whole = Arc::new(AtomicBool::new(false));
    let broken = broken(&is_whole);
    let model = Talker::new(|request| match last_text(request).as_str() {
        "fail" => Err(Error::new(ErrorKind::Overloaded, "no")),
        _ => Ok(Message::assistant("word ".repeat(100))),
    });
    let rules = Compaction::new(500).summarised_by(id("scripted:small"), broken.clone());
    let session = Session::new(builder().build().unwrap(), model.clone()).with_compaction(rules).unwrap();
    for _ in 0..4 {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    assert_eq!(broken.calls(), 0);
    for _ in 0..5 {
        assert!(session.send(&RunContext::new(), "fail").await.error().is_some());
    }
    assert_eq!(broken.calls(), 1);
}

#[tokio::test]
async fn a_turn_that_only_a_summary_lets_fit_has_it_tried_whatever_failed_before() {
    let is_whole = Arc::new(AtomicBool::new(false));
    let (model, broken) = (wordy(100), broken(&is_whole));
    let mut rules = Compaction::new(1_000).summarised_by(id("scripted:small"), broken.clone());
    rules.window_tokens = Some(1_020);
    let session = Session::new(builder().build().unwrap(), model).with_compaction(rules).unwrap();
    let mut failed = false;
    while !failed {
        failed = session.send(&RunContext::new(), "go on").await.error().is_some();
    }
    let calls = broken.calls();
    assert!(session.send(&RunContext::new(), "go on").await.error().is_some());
    assert_eq!(broken.calls(), calls + 1);
    is_whole.store(true, Ordering::SeqCst);
    let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
}

#[tokio::test]
async fn a_summary_that_fails_is_told_as_a_warning() {
    let broken = broken(&Arc::default());
    let model = wordy(100);
    let rules = Compaction::new(600).summarised_by(id("scripted:small"), broken.clone());
    let session = Session::new(builder().build().unwrap(), model).with_compaction(rules).unwrap();
    let warned = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&warned);
    let context = || {
        let told = Arc::clone(&told);
        RunContext::new().with_events(Arc::new(move |event: &StreamEvent| {
            if let StreamEvent::Warning { message } = event {
                told.lock().unwrap().push(message.clone());
            }
        }))
    };
    for _ in 0..8 {
        let _ = session.send(&context(), "go on").await.into_result().unwrap();
    }
    assert!(broken.calls() > 0 && session.head().await.turns == 8);
    let warned = warned.lock().unwrap();
    assert!(
        warned.iter().any(|line| line.starts_with("the conversation could not be summarised")),
        "{warned:?}"
    );
}

#[tokio::test]
async fn a_turn_that_cannot_fit_fails_before_it_is_sent() {
    let model = wordy(5);
    let session = Session::new(builder().build().unwrap(), model.clone())
        .with_compaction(Compaction::of_window(1_000, 80))
        .unwrap();
    let result = session.send(&RunContext::new(), "word ".repeat(2_000)).await;
    let error = result.error().unwrap();
    assert_eq!((error.kind(), error.hint().is_some(), model.calls()), (ErrorKind::TokenLimit, true, 0));
    let _ = session.send(&RunContext::new(), "short").await.into_result().unwrap();
}

#[tokio::test]
async fn what_a_failed_turn_paid_for_a_summary_serves_the_next_one() {
    let model = Talker::new(|request| match (is_summary(request), last_text(request).as_str()) {
        (true, _) => Ok(Message::assistant("They talked.")),
        (_, "fail") => Err(Error::new(ErrorKind::Overloaded, "no")),
        _ => Ok(Message::assistant("word ".repeat(100))),
    });
    let session = Session::new(builder().build().unwrap(), model.clone())
        .with_compaction(Compaction::new(500))
        .unwrap();
    for _ in 0..4 {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    let before = session.conversation().await.unwrap();
    assert_eq!(before.summaries.len(), 0);
    let context = RunContext::new();
    let failed = session.send(&context, "fail").await;
    assert!(failed.error().is_some() && failed.usage.total() > 0, "the summary counts");
    assert_eq!(session.conversation().await.unwrap(), before);
    let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    let asked = model.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|request| is_summary(request)).count(), 1);
    assert_eq!(session.conversation().await.unwrap().summaries.len(), 1);
}

/// Counts everything as so many tokens.
struct Fixed(u64, AtomicUsize);

#[async_trait]
impl TokenCounter for Fixed {
    async fn count(&self, _: &RunContext, _: &ChatRequest) -> Result<u64> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(self.0)
    }
}

#[tokio::test]
async fn the_providers_count_decides_and_is_asked_only_near_the_limit() {
    let model = wordy(100);
    let counter = Arc::new(Fixed(10, AtomicUsize::new(0)));
    let session = Session::new(builder().build().unwrap(), model)
        .with_compaction(Compaction::new(2_000))
        .unwrap()
        .with_counter(counter.clone());
    for _ in 0..8 {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    assert_eq!(counter.1.load(Ordering::SeqCst), 0, "far from the limit the estimate is enough");
    for _ in 0..20 {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    assert!(counter.1.load(Ordering::SeqCst) > 5);
    assert_eq!(session.conversation().await.unwrap().summaries.len(), 0, "it says that all is small");
}

/// Says what it is told, but uses three times the tokens that are estimated.
struct Dense(Arc<Talker>);

#[async_trait]
impl Model for Dense {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        let usage = Usage::new(3 * tokens::estimate(request), 330);
        let events = self.0.open(context, request, delivery).await?;
        Ok(Box::pin(events.map(move |event| match event {
            Ok(StreamEvent::Usage { .. }) => Ok(StreamEvent::Usage { usage }),
            other => other,
        })))
    }
}

#[tokio::test]
async fn an_estimate_is_corrected_by_what_the_provider_counted() {
    let inner = wordy(80);
    let limit = 6_000;
    let session = Session::new(builder().build().unwrap(), Arc::new(Dense(inner.clone())))
        .with_compaction(Compaction::new(limit))
        .unwrap();
    for _ in 0..60 {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    let asked = inner.asked.lock().unwrap().clone();
    let largest = asked
        .iter()
        .filter(|request| !is_summary(request))
        .map(|request| 3 * tokens::estimate(request))
        .max();
    let largest = largest.unwrap();
    assert!(largest <= limit + 400, "{largest} tokens were sent");
    assert!(largest > limit / 2, "the room is used: {largest}");
    let tokens = session.tokens().await;
    assert!(tokens > 3 * 300, "{tokens}");
}

#[tokio::test]
async fn a_resumed_turn_sends_the_summary_that_it_sent_before() {
    let broken = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&broken);
    let model = Talker::new(move |request| {
        if is_summary(request) {
            return Ok(Message::assistant("They talked."));
        }
        match left.load(Ordering::SeqCst) {
            0 => Ok(Message::assistant("word ".repeat(100))),
            _ => Err(Error::new(ErrorKind::Connection, "gone")),
        }
    });
    let session = Session::new(builder().build().unwrap(), model.clone())
        .with_compaction(Compaction::new(500))
        .unwrap();
    for _ in 0..4 {
        let _ = session.send(&RunContext::new(), "go on").await.into_result().unwrap();
    }
    let copy = Session::of(session.conversation().await.unwrap(), session.agent(), model.clone())
        .with_compaction(Compaction::new(500))
        .unwrap();
    broken.store(1, Ordering::SeqCst);
    let context = RunContext::new();
    assert!(session.send(&context, "more").await.error().is_some());
    broken.store(0, Ordering::SeqCst);
    // As in another process: it knows the conversation and the log, not what the first session had in hand.
    let _ = copy.send(&context, "more").await.into_result().unwrap();
    let asked = model.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|request| is_summary(request)).count(), 1);
    assert_eq!(asked[asked.len() - 1], asked[asked.len() - 2], "the same request is sent again");
}

#[tokio::test]
async fn compacting_on_demand_leaves_the_newest_turn() {
    let model = wordy(20);
    let session = Session::new(builder().build().unwrap(), model.clone());
    assert_eq!(session.compact(&RunContext::new()).await.unwrap_err().kind(), ErrorKind::Configuration);
    let session = session.with_compaction(Compaction::new(10_000)).unwrap();
    assert!(!session.compact(&RunContext::new()).await.unwrap());
    for question in ["one", "two", "three"] {
        let _ = session.send(&RunContext::new(), question).await.into_result().unwrap();
    }
    assert!(session.compact(&RunContext::new()).await.unwrap());
    assert!(!session.compact(&RunContext::new()).await.unwrap(), "nothing more to summarise");
    let _ = session.send(&RunContext::new(), "four").await.into_result().unwrap();
    assert_eq!(roles(&model.last()), "system user user assistant user");
    session.take_back(2).await.unwrap();
    assert_eq!(session.conversation().await.unwrap().summaries.len(), 0, "it told of more than is left");
}

#[test]
fn limits_that_do_not_fit_together_are_refused() {
    for rules in [
        Compaction::new(100).keep_recent(100),
        Compaction { window_tokens: Some(50), ..Compaction::new(100) },
        Compaction::new(0),
    ] {
        assert_eq!(rules.check().unwrap_err().kind(), ErrorKind::Configuration, "{rules:?}");
    }
}

/// A turn with so many rounds of so many calls, and texts of these lengths.
fn turn_of(number: usize, rounds: &[usize], length: usize) -> Vec<Message> {
    let mut messages = vec![Message::user("q".repeat(length))];
    for (round, calls) in rounds.iter().enumerate() {
        let ids: Vec<String> = (0..*calls).map(|call| format!("{number}.{round}.{call}")).collect();
        let call = |id: &String| {
            Part::ToolCall(ToolCall {
                id: id.clone(),
                name: "t".into(),
                arguments: "{}".into(),
                minted: false,
                opaque: None,
            })
        };
        let parts = ids.iter().map(call).collect();
        messages.push(Message { role: Role::Assistant, parts });
        let result = |id: &String| ToolResult {
            id: id.clone(),
            name: "t".into(),
            content: vec![Part::text("r".repeat(length))],
            is_error: false,
        };
        messages.push(Message::tool(ids.iter().map(result).collect()));
    }
    messages.push(Message::assistant("a".repeat(length)));
    messages
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever the conversation and the limit: every call that is sent has its results, every result its call, and what
    /// stays is as large as it may be.
    #[test]
    fn tool_pairs_stay_whole(
        shapes in prop::collection::vec((prop::collection::vec(1usize..4, 0..4), 1usize..400), 1..12),
        limit in 200u64..3_000,
        share in 1u64..8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let turns = shapes.iter().enumerate().map(|(number, (rounds, length))| {
            motet_core::conversation::Turn::new(turn_of(number, rounds, *length))
        });
        let mut conversation = Kept::empty().head().clone();
        let turns: Vec<_> = turns.collect();
        turns.iter().for_each(|turn| conversation.add_turn(turn));
        let conversation = Conversation { head: conversation, turns, summaries: Vec::new() };
        let total: Vec<Message> = conversation.messages().cloned().collect();
        let model = wordy(3);
        let rules = Compaction::new(limit).keep_recent(limit * share / 10);
        let session = Session::of(conversation, builder().build().unwrap(), model.clone());
        let session = session.with_compaction(rules.clone()).unwrap();
        let _ = runtime.block_on(session.send(&RunContext::new(), "next")).into_result().unwrap();
        let sent = model.last();
        let mut open = Vec::new();
        for message in &sent {
            if message.role != Role::Tool {
                prop_assert!(open.is_empty(), "a call without its result was sent");
            }
            open.extend(message.tool_calls().map(|call| call.id.clone()));
            for part in &message.parts {
                if let Part::ToolResult(result) = part {
                    let place = open.iter().position(|id| *id == result.id);
                    prop_assert!(place.is_some(), "a result without its call was sent");
                    open.remove(place.unwrap());
                }
            }
        }
        prop_assert!(open.is_empty());
        let kept = runtime.block_on(session.conversation()).unwrap();
        match kept.summaries.as_slice() {
            [] => prop_assert!(tokens::estimate(&model.asked.lock().unwrap()[0]) <= limit),
            [summary] => {
                let at = summary.through as usize;
                prop_assert!(may_cut(at.checked_sub(1).and_then(|at| total.get(at)), total.get(at)));
                let rest: u64 = total[at..].iter().map(tokens::message).sum();
                prop_assert!(rest <= rules.keep_recent_tokens, "{rest} tokens stay of {}", rules.keep_recent_tokens);
                prop_assert_eq!(&sent[2..sent.len() - 1], &total[at..]);
            }
            more => prop_assert!(false, "{} summaries", more.len()),
        }
    }
}
