//! The seam itself: the order of layers, what each of them sees, and who is told of the end.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt as _;
use motet_core::attempts::Attempts;
use motet_core::model::chat;
use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Message, Model, Result, RunContext};

use super::{Answer, Bottom, Call, Chain, Layer, Next, Outcome, ROWS, Stack, Where};
use crate::scripted::{Answer as Scripted, ScriptedModel};

/// Notes the way down, and how the call ended.
struct Noting {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Layer for Noting {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        self.notes.lock().unwrap().push(format!("{} down", self.name));
        let (name, notes) = (self.name, Arc::clone(&self.notes));
        call.on_end(move |ending| {
            let how = match ending.outcome {
                Outcome::Done => "done".to_owned(),
                Outcome::Failed(error) => error.kind().to_string(),
                Outcome::Dropped => "dropped".to_owned(),
            };
            notes.lock().unwrap().push(format!("{name} {how}"));
        });
        next.call(call).await
    }
}

fn request() -> ChatRequest {
    ChatRequest::new("scripted:x".parse().unwrap(), vec![Message::user("hello")])
}

fn stack(answers: Vec<Scripted>, names: &[&'static str]) -> (Stack, Arc<Mutex<Vec<String>>>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let layers = names
        .iter()
        .map(|name| Arc::new(Noting { name, notes: Arc::clone(&notes) }) as Arc<dyn Layer>)
        .collect();
    let bottom = Bottom::Model(Arc::new(ScriptedModel::answers(answers)));
    (Stack::new(Chain::new(layers, bottom), 3, None), notes)
}

#[test]
fn the_order_of_layers_is_the_documented_one() {
    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    let documented = include_str!("../../../../ARCHITECTURE.md");
    let table: Vec<_> = documented
        .lines()
        .skip_while(|line| !line.starts_with("| Layer |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('`').nth(1))
        .collect();
    assert_eq!(names, table);
    // What is done once for a logical call stands outside what is done for a model, and that outside what is for a key.
    let rank = |place| match place {
        Where::Caller => 0,
        Where::Call => 1,
        Where::Model => 2,
        Where::Key => 3,
        Where::Driver => 3,
    };
    assert!(ROWS.is_sorted_by_key(|row| rank(row.place)));
    assert!(ROWS.iter().all(|row| row.doc.ends_with('.')));
}

#[tokio::test]
async fn calls_go_down_in_order_and_ends_are_told_from_within() {
    let (stack, notes) = stack(vec![Scripted::text("hi")], &["outer", "inner"]);
    assert_eq!(stack.chain().names(), ["outer", "inner"]);
    assert_eq!(chat(&stack, &RunContext::new(), &request()).await.unwrap().text(), "hi");
    assert_eq!(*notes.lock().unwrap(), ["outer down", "inner down", "inner done", "outer done"]);
}

#[tokio::test]
async fn a_call_goes_on_past_layers_that_let_it_pass() {
    struct Absent(&'static str);
    #[async_trait]
    impl Layer for Absent {
        fn name(&self) -> &'static str {
            "absent"
        }
        fn lets_pass(&self, call: &Call<'_>) -> bool {
            call.ask.model().model() == self.0
        }
        async fn call(&self, _: Call<'_>, _: Next) -> Result<Answer> {
            Err(Error::new(ErrorKind::Internal, "asked"))
        }
    }
    let notes = Arc::new(Mutex::new(Vec::new()));
    let noting = |name| Arc::new(Noting { name, notes: Arc::clone(&notes) }) as Arc<dyn Layer>;
    let absent = |model| Arc::new(Absent(model)) as Arc<dyn Layer>;
    for (model, passes) in [("x", true), ("y", false)] {
        let layers =
            vec![absent("x"), noting("outer"), absent("x"), absent("x"), noting("inner"), absent(model)];
        let bottom = Bottom::Model(Arc::new(ScriptedModel::answers(vec![Scripted::text("hi")])));
        let answer =
            chat(&Stack::new(Chain::new(layers, bottom), 3, None), &RunContext::new(), &request()).await;
        assert_eq!(answer.map(|answer| answer.text()).ok().as_deref(), passes.then_some("hi"));
        let end = if passes { "done" } else { "internal" };
        let expected = ["outer down", "inner down", &format!("inner {end}"), &format!("outer {end}")];
        assert_eq!(std::mem::take(&mut *notes.lock().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_failure_and_a_dropped_stream_are_ends_too() {
    let failure = Scripted::error(&Error::new(ErrorKind::Overloaded, "busy"));
    let (failing, notes) = stack(vec![failure], &["one"]);
    assert!(chat(&failing, &RunContext::new(), &request()).await.is_err());
    assert_eq!(*notes.lock().unwrap(), ["one down", "one overloaded"]);

    let (dropped, notes) = stack(vec![Scripted::text("some words to drop")], &["one"]);
    let mut stream = dropped.open(&RunContext::new(), &request(), Delivery::Streamed).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(*notes.lock().unwrap(), ["one down", "one dropped"]);
}

#[tokio::test]
async fn the_attempts_of_the_context_are_those_of_the_call() {
    struct First;
    #[async_trait]
    impl Layer for First {
        fn name(&self) -> &'static str {
            "first"
        }
        async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
            call.attempts.first();
            next.call(call).await
        }
    }
    let bottom = Bottom::Model(Arc::new(ScriptedModel::answers(["a", "b", "c"].map(Scripted::text))));
    let stack = Stack::new(Chain::new(vec![Arc::new(First)], bottom), 3, None);
    let context = RunContext::new().as_one_call();
    for _ in 0..2 {
        chat(&stack, &context, &request()).await.unwrap();
    }
    assert_eq!(context.attempts_or(|| Attempts::new(9, None)).sent(), 2, "both turns are one logical call");
    chat(&stack, &RunContext::new(), &request()).await.unwrap();
    assert_eq!(context.attempts_or(|| Attempts::new(9, None)).sent(), 2, "another call has its own");
}
