//! Vectors: of a batch only what is not known is asked for.

use futures::future::join_all;
use motet_core::embedding::Embedder;
use motet_core::{EmbedRequest, EmbedResponse};

use super::*;

/// Makes a vector of each text's length after a second, and writes down what it was asked.
#[derive(Default)]
struct Lengths {
    asked: Mutex<Vec<Vec<String>>>,
    fails: AtomicU32,
    loses_one: bool,
}

#[async_trait]
impl Embedder for Lengths {
    async fn embed(&self, _: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse> {
        self.asked.lock().unwrap().push(request.inputs.clone());
        sleep(Duration::from_secs(1)).await;
        if self.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::new(ErrorKind::Overloaded, "busy"));
        }
        let mut vectors: Vec<Vec<f32>> = request.inputs.iter().map(|text| vec![text.len() as f32]).collect();
        if self.loses_one {
            vectors.pop();
        }
        let count = request.inputs.len() as u64;
        let mut response = EmbedResponse::new(request.model.clone(), vectors);
        response.usage = Some(Usage::new(count, 0));
        response.cost = Some(Cost::from_nanos(count));
        response.served_model = Some("lengths-2".to_owned());
        Ok(response)
    }
}

fn stack(lengths: &Arc<Lengths>) -> Stack {
    let layer: Arc<dyn Layer> =
        Arc::new(CacheLayer::new(Arc::new(Cache::new(limits())), CacheMode::ReadWrite));
    let bottom = Bottom::Embedder(Arc::clone(lengths) as Arc<dyn Embedder>);
    Stack::new(Chain::new(vec![layer], bottom), 1, None)
}

async fn embed(stack: &Stack, texts: &str) -> Result<EmbedResponse> {
    let inputs = texts.split(' ').map(str::to_owned).collect();
    stack.embed(&RunContext::new(), &EmbedRequest::new("openai:e".parse().unwrap(), inputs)).await
}

/// Numbers, tokens, cost, and how many were kept.
fn told(response: &EmbedResponse) -> (Vec<f32>, u64, u64, serde_json::Value) {
    let numbers = response.embeddings.iter().map(|vector| vector[0]).collect();
    let cached = response.metadata.get(CACHED).cloned().unwrap_or_default();
    (numbers, response.usage.unwrap().input, response.cost.unwrap().nanos(), cached)
}

#[tokio::test(start_paused = true)]
async fn a_batch_asks_only_for_the_texts_that_are_not_known_each_once() {
    let lengths = Arc::new(Lengths::default());
    let stack = stack(&lengths);
    let first = embed(&stack, "a bb a").await.unwrap();
    assert_eq!(told(&first), (vec![1.0, 2.0, 1.0], 2, 2, json!(null)));
    let second = embed(&stack, "ccc bb dddd a bb").await.unwrap();
    assert_eq!(told(&second), (vec![3.0, 2.0, 4.0, 1.0, 2.0], 2, 2, json!(3)));
    let third = embed(&stack, "bb a").await.unwrap();
    assert_eq!(told(&third), (vec![2.0, 1.0], 0, 0, json!(2)));
    assert_eq!(third.served_model.as_deref(), Some("lengths-2"));
    assert_eq!(*lengths.asked.lock().unwrap(), [vec!["a", "bb"], vec!["ccc", "dddd"]]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_texts_of_which_ninety_are_known_ask_for_ten() {
    let lengths = Arc::new(Lengths::default());
    let stack = stack(&lengths);
    let texts =
        |from: u32, to: u32| (from..to).map(|number| format!("text-{number}")).collect::<Vec<_>>().join(" ");
    embed(&stack, &texts(0, 90)).await.unwrap();
    let response = embed(&stack, &texts(0, 100)).await.unwrap();
    assert_eq!(lengths.asked.lock().unwrap()[1].len(), 10);
    assert_eq!((response.embeddings.len(), response.usage.unwrap().input), (100, 10));
}

#[tokio::test(start_paused = true)]
async fn only_a_batch_that_is_all_known_is_told_as_a_hit() {
    let stack = stack(&Arc::default());
    let hits = async |texts: &str| {
        let (context, seen) = watched();
        let inputs = texts.split(' ').map(str::to_owned).collect();
        stack.embed(&context, &EmbedRequest::new("openai:e".parse().unwrap(), inputs)).await.unwrap();
        seen.lock().unwrap().iter().filter(|event| matches!(event, StreamEvent::CacheHit { .. })).count()
    };
    assert_eq!((hits("a b").await, hits("a c").await, hits("c b a").await), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn batches_that_overlap_ask_for_each_text_once_and_wait_for_the_rest() {
    let lengths = Arc::new(Lengths::default());
    let stack = stack(&lengths);
    let answers = join_all([embed(&stack, "a bb"), embed(&stack, "bb ccc"), embed(&stack, "ccc a")]).await;
    let numbers: Vec<_> = answers.iter().map(|answer| told(answer.as_ref().unwrap())).collect();
    assert_eq!(numbers[0], (vec![1.0, 2.0], 2, 2, json!(null)));
    assert_eq!(numbers[1], (vec![2.0, 3.0], 1, 1, json!(1)));
    assert_eq!(numbers[2], (vec![3.0, 1.0], 0, 0, json!(2)));
    assert_eq!(*lengths.asked.lock().unwrap(), [vec!["a", "bb"], vec!["ccc"]]);
}

#[tokio::test(start_paused = true)]
async fn when_the_batch_that_asks_fails_those_who_wait_ask_themselves() {
    let lengths = Arc::new(Lengths { fails: AtomicU32::new(1), ..Lengths::default() });
    let stack = stack(&lengths);
    let answers = join_all([embed(&stack, "a bb"), embed(&stack, "bb ccc"), embed(&stack, "bb")]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), ErrorKind::Overloaded);
    assert_eq!(told(answers[1].as_ref().unwrap()).0, [2.0, 3.0]);
    assert_eq!(told(answers[2].as_ref().unwrap()).0, [2.0]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_too_few_vectors_is_refused_and_nothing_of_it_is_kept() {
    let lengths = Arc::new(Lengths { loses_one: true, ..Lengths::default() });
    let stack = stack(&lengths);
    for _ in 0..2 {
        let error = embed(&stack, "a bb").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::InvalidOutput, "2 vectors were asked for, and 1 came")
        );
    }
    assert_eq!(lengths.asked.lock().unwrap().len(), 2);
}
