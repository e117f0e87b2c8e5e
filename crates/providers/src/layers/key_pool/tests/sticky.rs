//! Conversations stay with the account that knows them, and go on elsewhere when it is gone.

use super::*;

/// Gives the messages of a conversation after so many turns, the answers as they came.
fn turn(topic: &str, answers: &[ChatResponse]) -> Vec<Message> {
    let mut messages = vec![Message::system("Be brief."), Message::user(topic)];
    for answer in answers {
        messages.extend([answer.message.clone(), Message::user("And then?")]);
    }
    messages
}

#[tokio::test(start_paused = true)]
async fn a_conversation_goes_on_where_it_began() {
    let bench = Bench::new(&[Answers; 3]);
    let mut answers: Vec<Vec<ChatResponse>> = vec![Vec::new(); 9];
    for _ in 0..4 {
        for (number, answers) in answers.iter_mut().enumerate() {
            answers.push(bench.say(turn(&format!("topic {number}"), answers)).await.unwrap());
        }
    }
    let used = bench.used();
    assert_eq!(used[..9], [0, 1, 2, 0, 1, 2, 0, 1, 2], "first turns are shared out");
    for later in used.chunks(9) {
        assert_eq!(later, &used[..9]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_knows_nothing_of_a_conversation_chooses_as_all_others_do() {
    let told = vec![Message::user("topic"), Message::assistant("Yes."), Message::user("And then?")];
    let mut chosen = Vec::new();
    for _ in 0..3 {
        let bench = Bench::new(&[Answers; 3]);
        bench.ask().await.unwrap();
        bench.used();
        bench.say(told.clone()).await.unwrap();
        chosen.extend(bench.used());
    }
    assert!(chosen.windows(2).all(|pair| pair[0] == pair[1]), "{chosen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_is_not_waited_for() {
    let keys = vec![PooledKey::new("key-0"), PooledKey::new("key-1")];
    let bench = Bench::with(keys, &[Answers, Answers], &[6, 600], 3);
    let first = bench.say(turn("topic", &[])).await.unwrap();
    assert_eq!(bench.used(), [0]);
    bench.say(turn("topic", &[first])).await.unwrap();
    assert_eq!(bench.used(), [1], "`key-0` has room in ten seconds only");
}

#[tokio::test(start_paused = true)]
async fn what_only_one_account_can_read_is_waited_for() {
    let keys = vec![PooledKey::new("key-0"), PooledKey::new("key-1")];
    let bench = Bench::with(keys, &[Thinks, Thinks], &[6, 600], 3);
    let first = bench.say(turn("topic", &[])).await.unwrap();
    let start = Instant::now();
    let second = bench.say(turn("topic", std::slice::from_ref(&first))).await.unwrap();
    assert_eq!((bench.used(), start.elapsed()), (vec![0, 0], 10 * SECOND));
    bench.mood(0, Busy(Some(20)));
    advance(10 * SECOND).await;
    let both = [first, second];
    let error = bench.say(turn("topic", &both)).await.unwrap_err();
    assert_eq!((bench.used(), error.retry()), (vec![0], Retry::After(20 * SECOND)));
    bench.mood(0, Answers);
    bench.say(turn("topic", &both)).await.unwrap();
    assert_eq!(bench.used(), [0]);
    bench.mood(0, Fails(ErrorKind::Authentication));
    advance(MINUTE).await;
    bench.say(turn("topic", &both)).await.unwrap();
    assert_eq!(bench.used(), [0, 1], "it goes on without its account");
    bench.say(turn("topic", &both)).await.unwrap();
    assert_eq!(bench.used(), [1]);
}

#[tokio::test(start_paused = true)]
async fn any_key_of_the_account_will_do() {
    let team = |name: &str| PooledKey::new(name).in_group("team");
    let bench =
        Bench::with(vec![team("key-0"), team("key-1"), PooledKey::new("key-2")], &[Thinks; 3], &[], 3);
    let first = bench.say(turn("topic", &[])).await.unwrap();
    bench.used();
    for _ in 0..4 {
        bench.say(turn("topic", std::slice::from_ref(&first))).await.unwrap();
    }
    assert_eq!(bench.used(), [1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_payload_of_unknown_origin_finds_its_account() {
    let elsewhere = Bench::new(&[Thinks]);
    let first = elsewhere.say(turn("topic", &[])).await.unwrap();
    let bench = Bench::new(&[Answers; 3]);
    let asked = || turn("topic", std::slice::from_ref(&first));
    bench.say(asked()).await.unwrap();
    let drawn = bench.used()[0];
    let fresh = Bench::new(&[Answers; 3]);
    let refuses = Fails(ErrorKind::InvalidRequest);
    (0..3).for_each(|key| fresh.mood(key, if key == (drawn + 1) % 3 { Answers } else { refuses }));
    fresh.say(asked()).await.unwrap();
    assert!(fresh.used().ends_with(&[(drawn + 1) % 3]));
    fresh.say(asked()).await.unwrap();
    assert_eq!((fresh.used(), fresh.changes().len()), (vec![(drawn + 1) % 3], 0), "it is known from then on");
    let wrong = Bench::new(&[refuses; 3]);
    assert_eq!(wrong.say(asked()).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert_eq!((wrong.used().len(), wrong.changes().len()), (3, 0));
}
