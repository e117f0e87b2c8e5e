//! Kept answers: their time, their size, and who asks for one that is not there.

use std::time::Duration;

use motet_core::answers::{AnswerClaim, AnswerStore, KeepRules, NewAnswer, Removed};
use motet_core::store::SharedStore;

use crate::fixture::HOUR;

const RULES: KeepRules = KeepRules { most_bytes: 1_000, replace: false };

fn answers(store: &SharedStore) -> &dyn AnswerStore {
    store.answers().expect("this store keeps no answers")
}

fn new(key: &str, body: &str, max_age: Duration) -> NewAnswer {
    NewAnswer { key: key.to_owned(), body: body.as_bytes().to_vec(), max_age }
}

async fn keep(store: &SharedStore, key: &str, body: &str, rules: KeepRules) {
    answers(store).keep(vec![new(key, body, HOUR)], rules).await.unwrap();
}

/// What is found under keys, such as `one - three`.
async fn found(store: &SharedStore, keys: &str) -> String {
    let keys: Vec<String> = keys.split(' ').map(str::to_owned).collect();
    let found = answers(store).find(&keys).await.unwrap();
    let text = |kept: &Option<motet_core::answers::KeptAnswer>| {
        kept.as_ref().map_or("-".to_owned(), |kept| String::from_utf8(kept.body.clone()).unwrap())
    };
    found.iter().map(text).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn what_was_kept_is_given_back_until_its_time_is_over(store: SharedStore) {
    let over = new("b", "two", Duration::ZERO);
    answers(&store).keep(vec![new("a", "one", HOUR), over], RULES).await.unwrap();
    assert_eq!(found(&store, "c b a a").await, "- - one one");
    let kept = answers(&store).find(&["a".to_owned()]).await.unwrap().remove(0).unwrap();
    assert!(kept.age < HOUR / 2 && kept.left <= HOUR && kept.left > HOUR / 2);
    assert_eq!(answers(&store).find(&[]).await.unwrap(), []);
    let counts = answers(&store).counts().await.unwrap();
    assert_eq!((counts.answers, counts.bytes, counts.expired, counts.oldest_seconds), (2, 6, 1, Some(0)));
}

pub(crate) async fn the_oldest_are_removed_when_there_are_too_many_bytes(store: SharedStore) {
    let rules = KeepRules { most_bytes: 10, replace: true };
    for (key, body) in [("a", "1234"), ("b", "1234"), ("a", "123456"), ("c", "12")] {
        keep(&store, key, body, rules).await;
    }
    assert_eq!(found(&store, "a b c").await, "123456 - 12", "a newer one counts as new");
    let many = (0..600).map(|number| new(&number.to_string(), "x", HOUR)).collect();
    answers(&store).keep(many, rules).await.unwrap();
    let counts = answers(&store).counts().await.unwrap();
    assert_eq!((counts.answers, counts.bytes), (10, 10));
    assert_eq!(found(&store, "589 590 599 c").await, "- x x -");
}

pub(crate) async fn a_newer_answer_takes_the_place_only_where_that_is_asked(store: SharedStore) {
    keep(&store, "a", "one", RULES).await;
    keep(&store, "a", "two", RULES).await;
    assert_eq!(found(&store, "a").await, "one");
    keep(&store, "a", "three", KeepRules { replace: true, ..RULES }).await;
    assert_eq!(found(&store, "a").await, "three");
    answers(&store).keep(vec![new("b", "old", Duration::ZERO)], RULES).await.unwrap();
    keep(&store, "b", "new", RULES).await;
    assert_eq!(found(&store, "b").await, "new", "one that is over its time holds no place");
    assert_eq!(answers(&store).counts().await.unwrap().bytes, 8);
}

pub(crate) async fn an_answer_larger_than_all_that_may_be_kept_is_not_kept(store: SharedStore) {
    keep(&store, "a", "one", RULES).await;
    keep(&store, "b", &"x".repeat(1_001), RULES).await;
    assert_eq!(found(&store, "a b").await, "one -");
    let answers = answers(&store);
    answers.lease("c", "one", HOUR).await.unwrap();
    answers.keep(vec![new("c", &"x".repeat(1_001), HOUR)], RULES).await.unwrap();
    assert_eq!(
        answers.lease("c", "two", HOUR).await.unwrap(),
        AnswerClaim::Yours,
        "its lease ends all the same"
    );
}

pub(crate) async fn one_of_many_is_given_the_duty_to_ask(store: SharedStore) {
    let claim = |number: u32| {
        let store = store.clone();
        async move { answers(&store).lease("a", &format!("holder-{number}"), HOUR).await.unwrap() }
    };
    let claims = futures::future::join_all((0..20).map(claim)).await;
    assert_eq!(claims.iter().filter(|claim| **claim == AnswerClaim::Yours).count(), 1);
    let taken = |claim: &&AnswerClaim| matches!(claim, AnswerClaim::Taken { left } if *left <= HOUR);
    assert_eq!(claims.iter().filter(taken).count(), 19);
    assert_eq!(answers(&store).lease("b", "other", HOUR).await.unwrap(), AnswerClaim::Yours);
    keep(&store, "a", "one", RULES).await;
    let AnswerClaim::Kept(kept) = claim(99).await else { panic!("the answer is there") };
    assert_eq!(kept.body, b"one");
}

pub(crate) async fn a_lease_that_is_over_goes_to_the_next(store: SharedStore) {
    let claim = |holder: &'static str, ttl| {
        let store = store.clone();
        async move { answers(&store).lease("a", holder, ttl).await.unwrap() }
    };
    assert_eq!(claim("one", Duration::ZERO).await, AnswerClaim::Yours);
    assert_eq!(claim("two", HOUR).await, AnswerClaim::Yours);
    assert!(matches!(claim("one", HOUR).await, AnswerClaim::Taken { .. }));
    assert_eq!(claim("two", HOUR * 2).await, AnswerClaim::Yours, "its holder renews it");
    let AnswerClaim::Taken { left } = claim("one", HOUR).await else { panic!() };
    assert!(left > HOUR);
}

pub(crate) async fn a_lease_is_given_back_by_its_holder_only(store: SharedStore) {
    let answers = answers(&store);
    answers.lease("a", "one", HOUR).await.unwrap();
    answers.release("a", "two").await.unwrap();
    assert!(matches!(answers.lease("a", "two", HOUR).await.unwrap(), AnswerClaim::Taken { .. }));
    answers.release("a", "one").await.unwrap();
    answers.release("a", "one").await.unwrap();
    assert_eq!(answers.lease("a", "two", HOUR).await.unwrap(), AnswerClaim::Yours);
}

pub(crate) async fn pruning_removes_what_is_over_its_time_and_clearing_everything(store: SharedStore) {
    let ages = [("a", HOUR), ("b", Duration::ZERO), ("c", HOUR), ("d", HOUR)];
    let new = ages.map(|(key, age)| new(key, "1234", age)).to_vec();
    answers(&store).keep(new, RULES).await.unwrap();
    let prune = |most| {
        let store = store.clone();
        async move { answers(&store).prune(most).await.unwrap() }
    };
    assert_eq!(prune(1_000).await, Removed { answers: 1, bytes: 4 });
    assert_eq!(prune(8).await, Removed { answers: 1, bytes: 4 });
    assert_eq!(found(&store, "a b c d").await, "- - 1234 1234");
    assert_eq!(answers(&store).clear().await.unwrap(), Removed { answers: 2, bytes: 8 });
    assert_eq!(answers(&store).clear().await.unwrap(), Removed::default());
    assert_eq!(answers(&store).counts().await.unwrap(), motet_core::answers::AnswerCounts::default());
}

pub(crate) async fn thousands_of_keys_are_looked_up_at_once(store: SharedStore) {
    let rules = KeepRules { most_bytes: 1 << 20, replace: false };
    let many = (0..3_000).map(|number| new(&number.to_string(), &format!("v{number}"), HOUR)).collect();
    answers(&store).keep(many, rules).await.unwrap();
    let keys: Vec<String> = (0..6_000).rev().map(|number: u32| number.to_string()).collect();
    let found = answers(&store).find(&keys).await.unwrap();
    assert_eq!(found.iter().flatten().count(), 3_000);
    assert_eq!(found[5_000].as_ref().unwrap().body, b"v999");
}
