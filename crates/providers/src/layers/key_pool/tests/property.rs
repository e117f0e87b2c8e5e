//! Whatever keys do in whatever order: none is used that rests, and no call is lost while one would take it.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Mood(usize, Mood),
    Pass(u64),
    Calls(usize),
}

const KEYS: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let mood = prop_oneof![
        3 => Just(Answers),
        1 => Just(Fails(ErrorKind::Authentication)),
        1 => Just(Fails(ErrorKind::QuotaExceeded)),
        1 => Just(Fails(ErrorKind::Permission)),
        1 => prop::option::of(1..90u64).prop_map(Busy),
        1 => Just(BusyInside),
    ];
    prop_oneof![
        2 => (0..KEYS, mood).prop_map(|(key, mood)| Step::Mood(key, mood)),
        1 => (1..900u64).prop_map(Step::Pass),
        3 => (1..5usize).prop_map(Step::Calls),
    ]
}

/// What is known of the rests of keys, by what they answered alone.
struct Watch {
    groups: Vec<String>,
    rests: Vec<Option<(Instant, Instant)>>,
    /// When the quarantine of each key ends at the earliest.
    quarantines: Vec<Option<Instant>>,
}

impl Watch {
    /// Notes what a request was answered; refusals of keys in quarantine that were sent before it ends say nothing new.
    fn note(&mut self, key: usize, at: Instant, mood: Mood) {
        let (time, whole_group) = match mood {
            Fails(ErrorKind::Authentication) => (5 * MINUTE, false),
            Fails(ErrorKind::QuotaExceeded) => (5 * MINUTE, true),
            Busy(Some(seconds)) => (Duration::from_secs(seconds), true),
            BusyInside => (30 * SECOND, true),
            Busy(None) => (SECOND, true),
            _ => return,
        };
        let quarantines = matches!(mood, Fails(_));
        if quarantines && self.quarantines[key].is_some_and(|until| at < until + SECOND) {
            return;
        }
        for other in 0..KEYS {
            if other == key || (whole_group && self.groups[other] == self.groups[key]) {
                self.rests[other] = Some((at, at + time));
                if quarantines {
                    self.quarantines[other] = Some(at + time);
                }
            }
        }
    }
}

async fn play(steps: Vec<Step>, grouped: bool) -> Result<(), TestCaseError> {
    let key = |key: usize| {
        PooledKey::new(format!("key-{key}")).in_group(match key {
            0 | 1 if grouped => "both".to_owned(),
            key => format!("group-{key}"),
        })
    };
    let keys: Vec<PooledKey> = (0..KEYS).map(key).collect();
    let groups = keys.iter().map(|key| key.group.clone()).collect();
    let mut watch = Watch { groups, rests: vec![None; KEYS], quarantines: vec![None; KEYS] };
    let bench = Bench::with(keys, &[Answers; KEYS], &[], 2 * KEYS as u32);
    bench.takes(SECOND);
    for step in steps {
        let calls = match step {
            Step::Mood(key, mood) => {
                bench.mood(key, mood);
                continue;
            }
            Step::Pass(seconds) => {
                sleep(Duration::from_secs(seconds)).await;
                continue;
            }
            Step::Calls(calls) => calls,
        };
        let moods = bench.provider.moods.lock().unwrap().clone();
        let asked = (0..calls).map(|_| async { (bench.ask().await, Instant::now(), bench.pool.snapshot()) });
        for (answer, _, snapshot) in futures::future::join_all(asked).await {
            let Err(error) = answer else { continue };
            let ready = |key: &usize| moods[*key] == Answers && snapshot[*key].state == KeyStatus::Ready;
            let inside = moods.contains(&BusyInside) && error.retry() == Retry::After(Duration::ZERO);
            let lost = !inside && (0..KEYS).any(|key| ready(&key));
            prop_assert!(!lost, "lost by {error} where {moods:?} and {snapshot:?}");
        }
        let sent = std::mem::take(&mut *bench.provider.sent.lock().unwrap());
        for (at, (key, time)) in sent.iter().enumerate() {
            let rests = watch.rests[*key].is_some_and(|(from, until)| *time > from && *time < until);
            prop_assert!(!rests, "key {key} was used while it rested, as number {at} of {sent:?}");
            watch.note(*key, *time + SECOND, moods[*key]);
        }
        prop_assert_eq!(bench.in_flight(), 0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn resting_keys_are_not_used_and_no_call_is_lost(
        steps in prop::collection::vec(step(), 1..40),
        grouped in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(play(steps, grouped))?;
    }
}

/// Two requests of one wave are refused, the second one after the key went to rest: the rest is counted from the first.
#[test]
fn a_later_refusal_of_the_same_wave_does_not_prolong_the_rest_of_a_refused_key() {
    let steps = vec![
        Step::Mood(3, Fails(ErrorKind::Authentication)),
        Step::Mood(2, Busy(Some(39))),
        Step::Mood(0, Fails(ErrorKind::QuotaExceeded)),
        Step::Calls(4),
        Step::Pass(218),
        Step::Calls(1),
        Step::Calls(1),
        Step::Calls(2),
    ];
    for _ in 0..50 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(play(steps.clone(), true)).unwrap();
    }
}
