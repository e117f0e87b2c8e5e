//! What holds for every sequence of operations on one limit.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn rate() -> impl Strategy<Value = Rate> {
    (1_u64..5_000_000, 1_u64..120, 1_u64..5_000_000)
        .prop_map(|(cells, seconds, burst)| Rate::new(cells, seconds * SECOND).with_burst(burst))
}

/// Takes requests at their earliest times; gives when and how much.
fn taken(gcra: &mut Gcra, steps: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut now = 0;
    let burst = gcra.rate().burst;
    let mut all = Vec::new();
    for (pause, cells) in steps {
        now += pause;
        let cells = 1 + cells % burst;
        let at = gcra.earliest(now, 0, cells);
        gcra.take(at, cells);
        now = at;
        all.push((at, cells));
    }
    all
}

proptest! {
    #[test]
    fn no_window_admits_more_than_a_burst_and_what_comes_back(
        rate in rate(), steps in prop::collection::vec((0..3 * SECOND, any::<u64>()), 1..60),
    ) {
        let all = taken(&mut Gcra::new(rate), &steps);
        for first in 0..all.len() {
            let mut sum = 0_u128;
            for (at, cells) in &all[first..] {
                sum += u128::from(*cells);
                let came_back = u128::from(at - all[first].0) * u128::from(rate.cells);
                let most = u128::from(rate.burst) * u128::from(rate.period) + came_back;
                prop_assert!(sum * u128::from(rate.period) <= most + u128::from(rate.cells));
            }
        }
    }

    #[test]
    fn whoever_always_asks_gets_the_whole_rate(rate in rate(), cells in prop::collection::vec(any::<u64>(), 1..60)) {
        let steps: Vec<_> = cells.into_iter().map(|cells| (0, cells)).collect();
        let all = taken(&mut Gcra::new(rate), &steps);
        let sum: u64 = all.iter().map(|(_, cells)| cells).sum();
        let last = all.last().unwrap().0;
        let least = rate.time_of(sum).saturating_sub(rate.window());
        // Every request may round up by one nanosecond.
        prop_assert!(last <= least + all.len() as u64, "{last} is later than {least}");
    }

    #[test]
    fn what_is_corrected_is_as_though_it_had_been_so_from_the_start(
        rate in rate(), now in SECOND..9 * SECOND, reserved in 0_u64..9_000_000, used in 0_u64..9_000_000,
        others in prop::collection::vec(0_u64..9_000, 0..9),
    ) {
        let (mut corrected, mut right) = (Gcra::new(rate), Gcra::new(rate));
        corrected.take(now, reserved);
        right.take(now, used);
        for cells in others {
            corrected.take(now, cells);
            right.take(now, cells);
        }
        corrected.correct(reserved, used);
        prop_assert_eq!(corrected, right);
    }

    #[test]
    fn reserving_and_settling_a_million_times_drifts_by_nothing(rate in rate(), used in 1_u64..1_000) {
        let (mut settled, mut right) = (Gcra::new(rate), Gcra::new(rate));
        for _ in 0..1_000 {
            settled.take(SECOND, 4_096);
            settled.correct(4_096, used);
            right.take(SECOND, used);
        }
        prop_assert_eq!(settled, right);
    }

    #[test]
    fn a_new_rate_keeps_what_is_taken(
        rate in rate(), cells in 1_u64..5_000_000, periods in 1_u64..90, taken in 0_u64..5_000_000,
    ) {
        let mut gcra = Gcra::new(rate);
        gcra.take(SECOND, taken);
        let new = Rate::new(cells, periods * SECOND).with_burst(rate.burst);
        gcra.change(SECOND, new);
        let left = rate.burst.saturating_sub(taken);
        prop_assert!(gcra.left(SECOND) <= left);
        // Rounding up by a nanosecond costs no more cells than come back in two.
        prop_assert!(gcra.left(SECOND) + 2 + 2 * new.cells.div_ceil(new.period) >= left);
    }

    #[test]
    fn no_more_is_left_than_it_was_lowered_to(rate in rate(), taken in 0_u64..9_000, left in 0_u64..9_000) {
        let mut gcra = Gcra::new(rate);
        gcra.take(SECOND, taken);
        let before = gcra.left(SECOND);
        gcra.lower(SECOND, left);
        prop_assert!(gcra.left(SECOND) <= before.min(left));
        prop_assert!(gcra.left(SECOND) + 1 >= before.min(left));
    }
}

#[test]
fn a_burst_is_followed_by_one_after_the_other() {
    let mut gcra = Gcra::new(Rate::per_minute(60).with_burst(3));
    let mut times = Vec::new();
    for _ in 0..5 {
        let at = gcra.earliest(0, 0, 1);
        gcra.take(at, 1);
        times.push(at / SECOND);
    }
    assert_eq!(times, [0, 0, 0, 1, 2]);
    assert_eq!(gcra.earliest(0, 2, 1), 5 * SECOND, "two others go first");
}

#[test]
fn more_than_a_burst_waits_until_it_is_full_and_leaves_a_debt() {
    let mut gcra = Gcra::new(Rate::per_minute(60));
    gcra.take(0, 10);
    assert_eq!(gcra.earliest(0, 0, 100), 10 * SECOND);
    gcra.take(10 * SECOND, 100);
    assert_eq!(gcra.left(10 * SECOND), 0);
    assert_eq!(gcra.earliest(10 * SECOND, 0, 1), 51 * SECOND, "forty of debt, and one");
}
