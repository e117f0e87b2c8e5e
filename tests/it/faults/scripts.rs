//! Random faults in random order: laws that hold whatever goes wrong.

use std::time::Duration;

use motet_core::{Delivery, ErrorKind, StreamEvent};
use motet_providers::simulated::{Fault, Stage};
use proptest::prelude::*;

use super::{BOTH, Called, Simulated, call, faulty, runtime, text};

fn fault() -> impl Strategy<Value = Fault> {
    let advice = prop_oneof![4 => Just(None), 1 => (0..60_000u64).prop_map(Some)];
    (prop::sample::select(Stage::ALL), prop::sample::select(ErrorKind::ALL), advice).prop_map(
        |(stage, kind, advice)| {
            let fault = Fault::new(stage, kind);
            match advice {
                Some(milliseconds) => fault.with_retry_after(Duration::from_millis(milliseconds)),
                None => fault,
            }
        },
    )
}

/// Mostly faults that may pass, so that scripts are played to their end.
fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let passing = fault().prop_map(|mut fault| {
        fault.kind = ErrorKind::Overloaded;
        fault
    });
    prop::collection::vec(prop_oneof![3 => passing, 1 => fault()], 0..8)
}

struct Played {
    called: Called,
    arrived: u64,
}

fn play(faults: &[Fault], attempts: u32, recover: bool, delivery: Delivery) -> Played {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio.block_on(async {
        let runtime = runtime(&[
            ("retry.max_attempts", &attempts.to_string()),
            ("retry.recover_streams", &recover.to_string()),
            ("breaker.enabled", "false"),
        ]);
        let model = Simulated::new(&runtime, "simulated:a", faulty(faults.iter().cloned()));
        let called = call(&runtime, &model.id, delivery).await;
        Played { called, arrived: model.arrived() }
    })
}

/// Checks that output begins anew only where what came before it was declared void, and once for each time.
fn check_shown(events: &[StreamEvent]) -> Result<(), TestCaseError> {
    let mut shown = String::new();
    for event in events {
        match event {
            StreamEvent::TextDelta { text: piece, .. } => {
                shown.push_str(piece);
                prop_assert!(text().starts_with(&shown), "`{}` is no beginning of an answer", shown);
            }
            StreamEvent::OutputDiscarded { .. } => {
                prop_assert!(!shown.is_empty(), "there was nothing to declare void");
                shown.clear();
            }
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sends_stay_in_their_budget_and_an_answer_is_the_model_s(
        faults in faults(), attempts in 1..6u32, recover: bool,
    ) {
        for delivery in BOTH {
            let Played { called, arrived } = play(&faults, attempts, recover, delivery);
            prop_assert!((1..=u64::from(attempts)).contains(&arrived));
            check_shown(&called.events)?;
            if !recover || delivery == Delivery::Plain {
                prop_assert_eq!(called.discarded(), 0);
            }
            let last = faults.get(usize::try_from(arrived).unwrap() - 1);
            match &called.response {
                Ok(response) => {
                    prop_assert_eq!(response.text(), text());
                    prop_assert!(last.is_none_or(|fault| fault.stage == Stage::AfterFinish));
                }
                Err(error) => prop_assert_eq!(Some(error.kind()), last.map(|fault| fault.kind)),
            }
            prop_assert_eq!(called.waits().len() as u64, arrived - 1);
            let most: Duration = called.waits().iter().map(|wait| Duration::from_millis(*wait)).sum();
            prop_assert!(called.took <= most + Duration::from_millis(2 * arrived), "{:?}", called.took);
        }
    }

    /// Where nothing is shown before it is whole, a stream cannot differ from a plain answer.
    #[test]
    fn a_stream_that_recovers_ends_like_a_plain_answer(faults in faults(), attempts in 1..6u32) {
        let [plain, streamed] = BOTH.map(|delivery| play(&faults, attempts, true, delivery));
        prop_assert_eq!(plain.arrived, streamed.arrived);
        match (plain.called.response, streamed.called.response) {
            (Ok(plain), Ok(streamed)) => prop_assert_eq!(plain, streamed),
            (Err(plain), Err(streamed)) => {
                prop_assert_eq!(plain.report(), streamed.report());
            }
            (plain, streamed) => prop_assert!(false, "{:?} and {:?}", plain, streamed),
        }
    }
}
