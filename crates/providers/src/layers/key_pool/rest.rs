//! How long a key that was refused is left alone: two small state machines over times that they are told.
//!
//! Reads no clock, and knows neither keys nor calls.

use std::time::Duration;

use motet_core::error::ErrorReport;
use tokio::time::Instant;

/// The first rest after a refusal for too many requests, where the provider names none; each further one doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest of those rests.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Time until a key that is not taken any more is tried again; doubles with each refusal.
const FIRST_PROBE: Duration = Duration::from_mins(5);
/// The longest of those times.
const LONGEST_PROBE: Duration = Duration::from_hours(1);
/// A provider that names a longer time than this is not believed.
const LONGEST_ADVICE: Duration = Duration::from_hours(24);

/// A rest after too many requests; over by itself.
#[derive(Debug, Clone)]
pub(super) struct Cooling {
    pub(super) until: Instant,
    step: u32,
    /// Nobody has been told yet that it is over.
    pub(super) announced: bool,
}

impl Cooling {
    pub(super) fn is_active(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Begins or prolongs a rest after a refusal of a call that was sent at a time; tells whether it is a new one.
    ///
    /// Refusals of calls that were sent before the rest was over belong to the same wave and do not double it.
    pub(super) fn refuse(
        this: &mut Option<Cooling>,
        sent: Instant,
        now: Instant,
        advice: Option<Duration>,
    ) -> bool {
        let advice = advice.map(|advice| advice.min(LONGEST_ADVICE));
        match this {
            Some(cooling) if sent < cooling.until => {
                let was_active = cooling.is_active(now);
                cooling.until = cooling.until.max(now + advice.unwrap_or_default());
                cooling.announced = cooling.is_active(now);
                !was_active && cooling.announced
            }
            _ => {
                let step = this.as_ref().map_or(0, |cooling| cooling.step.saturating_add(1));
                let pause = FIRST_PAUSE.saturating_mul(1 << step.min(10)).min(LONGEST_PAUSE);
                let until = now + advice.unwrap_or(pause);
                *this = Some(Cooling { until, step, announced: true });
                true
            }
        }
    }

    /// Forgets the rest when a call that was sent after it ended well.
    pub(super) fn succeed(this: &mut Option<Cooling>, sent: Instant) {
        if this.as_ref().is_some_and(|cooling| sent >= cooling.until) {
            *this = None;
        }
    }
}

/// A rest of what is not taken any more; over when a probe is taken.
#[derive(Debug, Clone)]
pub(super) struct Quarantine {
    /// When the next probe is due.
    pub(super) probe_at: Instant,
    span: Duration,
    /// A call is on its way to see.
    pub(super) probing: bool,
    pub(super) why: ErrorReport,
}

impl Quarantine {
    /// Begins a rest, or doubles it where a probe was refused; tells whether it is a new one.
    pub(super) fn refuse(
        this: &mut Option<Quarantine>,
        now: Instant,
        is_probe: bool,
        why: ErrorReport,
    ) -> bool {
        match this {
            Some(quarantine) if is_probe => {
                let span = quarantine.span.saturating_mul(2).min(LONGEST_PROBE);
                *quarantine = Quarantine { probe_at: now + span, span, probing: false, why };
                false
            }
            // Calls that were on their way when it began say nothing new.
            Some(_) => false,
            None => {
                let (probe_at, span) = (now + FIRST_PROBE, FIRST_PROBE);
                *this = Some(Quarantine { probe_at, span, probing: false, why });
                true
            }
        }
    }

    /// Tells whether a probe may be sent.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.probing && self.probe_at <= now
    }
}

#[cfg(test)]
mod tests {
    use motet_core::{Error, ErrorKind};

    use super::*;

    fn why() -> ErrorReport {
        Error::new(ErrorKind::Authentication, "revoked").report()
    }

    #[test]
    fn rests_double_to_a_minute_and_a_success_begins_anew() {
        let start = Instant::now();
        let (mut now, mut cooling, mut rests) = (start, None, Vec::new());
        for _ in 0..8 {
            assert!(Cooling::refuse(&mut cooling, now, now, None));
            let until = cooling.as_ref().unwrap().until;
            rests.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        Cooling::succeed(&mut cooling, now);
        assert!(cooling.is_none());
        Cooling::refuse(&mut cooling, now, now, None);
        assert_eq!(cooling.unwrap().until - now, FIRST_PAUSE);
    }

    #[test]
    fn a_wave_of_refusals_is_one_and_the_longest_advice_holds() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let mut cooling = None;
        assert!(Cooling::refuse(&mut cooling, start, start + seconds(1), Some(seconds(5))));
        assert!(!Cooling::refuse(&mut cooling, start, start + seconds(2), Some(seconds(9))));
        assert!(!Cooling::refuse(&mut cooling, start, start + seconds(3), None));
        let until = cooling.as_ref().unwrap().until;
        assert_eq!(until, start + seconds(11));
        Cooling::succeed(&mut cooling, start);
        assert!(cooling.is_some(), "a call from before says nothing of now");
        assert!(!Cooling::refuse(&mut cooling, start, start + seconds(20), None), "late, and no advice");
        assert!(!cooling.as_ref().unwrap().is_active(start + seconds(20)));
        assert!(Cooling::refuse(&mut cooling, start, start + seconds(20), Some(seconds(2))));
        assert!(cooling.as_ref().unwrap().is_active(start + seconds(21)));
        Cooling::refuse(&mut cooling, until + seconds(30), until + seconds(30), Some(Duration::MAX));
        assert_eq!(cooling.unwrap().until, until + seconds(30) + LONGEST_ADVICE);
    }

    #[test]
    fn probes_come_more_and_more_seldom() {
        let mut now = Instant::now();
        let mut quarantine = None;
        assert!(Quarantine::refuse(&mut quarantine, now, false, why()));
        assert!(!Quarantine::refuse(&mut quarantine, now, false, why()));
        let mut minutes = Vec::new();
        for _ in 0..6 {
            let at = quarantine.as_ref().unwrap().probe_at;
            assert!(!quarantine.as_ref().unwrap().is_due(now) && quarantine.as_ref().unwrap().is_due(at));
            minutes.push((at - now).as_secs() / 60);
            now = at;
            quarantine.as_mut().unwrap().probing = true;
            assert!(!quarantine.as_ref().unwrap().is_due(now), "one probe at a time");
            assert!(!Quarantine::refuse(&mut quarantine, now, true, why()));
        }
        assert_eq!(minutes, [5, 10, 20, 40, 60, 60]);
    }
}
