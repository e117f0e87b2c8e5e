//! When a circuit opens and closes, on a time that the tests move.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A circuit and a time that tests move.
struct Bench {
    circuit: Circuit,
    start: Instant,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let start = Instant::now();
        Self { circuit: Circuit::new(limits, start), start }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + SECOND * u32::try_from(seconds).unwrap()
    }

    fn pass(&self, seconds: u64) -> Pass {
        match self.circuit.admit(self.at(seconds)) {
            Admission::Through(pass, _) => pass,
            Admission::Refused(wait) => panic!("refused for {wait:?}"),
        }
    }

    fn refused(&self, seconds: u64) -> Option<Duration> {
        match self.circuit.admit(self.at(seconds)) {
            Admission::Through(..) => None,
            Admission::Refused(wait) => Some(wait),
        }
    }

    fn call(&self, seconds: u64, verdict: Verdict) -> Option<CircuitState> {
        self.circuit.end(self.pass(seconds), verdict, self.at(seconds))
    }

    fn open(&self) {
        let opened: Vec<_> = (0..4).map(|_| self.call(0, Verdict::Failed)).collect();
        assert_eq!(opened, [None, None, None, Some(CircuitState::Open)]);
    }

    fn state(&self, seconds: u64) -> CircuitState {
        self.circuit.snapshot(self.at(seconds)).state
    }
}

fn limits() -> Limits {
    Limits { failure_rate: 50, min_calls: 4, window: 10 * SECOND, open_for: 5 * SECOND, probes: 2 }
}

#[test]
fn it_opens_by_the_share_of_failures_once_there_are_enough_calls() {
    let bench = Bench::new(limits());
    assert_eq!(bench.call(0, Verdict::Good), None);
    assert_eq!(bench.call(0, Verdict::Failed), None);
    assert_eq!(bench.call(0, Verdict::Failed), None, "two of three are many, but three are few");
    assert_eq!(bench.call(0, Verdict::Good), None, "a success opens nothing");
    assert_eq!(bench.call(0, Verdict::Failed), Some(CircuitState::Open));
    assert_eq!(bench.refused(1), Some(4 * SECOND));
    let snapshot = bench.circuit.snapshot(bench.at(1));
    assert_eq!((snapshot.state, snapshot.calls, snapshot.failures), (CircuitState::Open, 5, 3));
    assert_eq!(snapshot.probes_in, Some(4 * SECOND));

    let strict = Bench::new(Limits { failure_rate: 100, ..limits() });
    strict.call(0, Verdict::Good);
    assert!((0..50).all(|_| strict.call(0, Verdict::Failed).is_none()), "one success is enough below 100 %");
}

#[test]
fn what_says_nothing_of_the_model_does_not_count() {
    let bench = Bench::new(limits());
    assert!((0..50).all(|_| bench.call(0, Verdict::Neither).is_none()));
    assert!((0..3).all(|_| bench.call(0, Verdict::Failed).is_none()));
    assert_eq!(bench.circuit.snapshot(bench.at(0)).calls, 3);
}

#[test]
fn old_calls_leave_the_window() {
    let bench = Bench::new(limits());
    (0..3).for_each(|_| assert_eq!(bench.call(0, Verdict::Failed), None));
    assert_eq!(bench.circuit.snapshot(bench.at(9)).failures, 3);
    assert_eq!(bench.circuit.snapshot(bench.at(10)).failures, 0);
    (10..13).for_each(|second| assert_eq!(bench.call(second, Verdict::Failed), None));
    assert_eq!(bench.call(13, Verdict::Failed), Some(CircuitState::Open));
}

#[test]
fn it_closes_when_all_probes_end_well_and_counts_anew() {
    let bench = Bench::new(limits());
    bench.open();
    assert_eq!(bench.state(4), CircuitState::Open);
    assert!(matches!(bench.circuit.admit(bench.at(5)), Admission::Through(_, Some(CircuitState::HalfOpen))));
    let second = bench.pass(5);
    assert_eq!(bench.refused(5), Some(SECOND), "two probes at most");
    assert_eq!(bench.circuit.end(second, Verdict::Good, bench.at(6)), None);
    assert_eq!(bench.refused(6), Some(SECOND), "the first probe is still out");
    assert_eq!(bench.circuit.end(second, Verdict::Good, bench.at(6)), Some(CircuitState::Closed));
    let snapshot = bench.circuit.snapshot(bench.at(6));
    assert_eq!((snapshot.state, snapshot.calls), (CircuitState::Closed, 0));
}

#[test]
fn one_failed_probe_opens_it_again() {
    let bench = Bench::new(limits());
    bench.open();
    let (first, second) = (bench.pass(5), bench.pass(5));
    assert_eq!(bench.circuit.end(first, Verdict::Failed, bench.at(6)), Some(CircuitState::Open));
    assert_eq!(bench.circuit.end(second, Verdict::Good, bench.at(6)), None, "too late to matter");
    assert_eq!(bench.refused(6), Some(5 * SECOND));
    assert_eq!(bench.state(11), CircuitState::HalfOpen);
}

#[test]
fn a_probe_without_a_verdict_frees_its_place() {
    let bench = Bench::new(Limits { probes: 1, ..limits() });
    bench.open();
    let probe = bench.pass(5);
    assert!(bench.refused(5).is_some());
    assert_eq!(bench.circuit.end(probe, Verdict::Neither, bench.at(6)), None);
    assert_eq!(bench.call(6, Verdict::Good), Some(CircuitState::Closed));
}

#[test]
fn what_began_before_it_opened_changes_nothing_afterwards() {
    let bench = Bench::new(limits());
    let old = bench.pass(0);
    bench.open();
    let probes = [bench.pass(5), bench.pass(5)];
    assert_eq!(bench.circuit.end(old, Verdict::Failed, bench.at(5)), None);
    let closed = probes.map(|probe| bench.circuit.end(probe, Verdict::Good, bench.at(5)));
    assert_eq!(closed, [None, Some(CircuitState::Closed)]);
    assert_eq!(bench.circuit.end(old, Verdict::Failed, bench.at(6)), None);
    assert_eq!(bench.circuit.snapshot(bench.at(6)).calls, 0);
}

#[test]
fn a_window_of_no_length_still_counts() {
    let bench = Bench::new(Limits { window: Duration::from_nanos(3), ..limits() });
    (0..3).for_each(|_| assert_eq!(bench.call(0, Verdict::Failed), None));
    assert_eq!(bench.call(0, Verdict::Failed), Some(CircuitState::Open));
}
