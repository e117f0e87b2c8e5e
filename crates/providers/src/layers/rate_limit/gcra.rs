//! One limit as a single point in time: the generic cell rate algorithm, with cells given back, debt, and new rates.
//!
//! Reads no clock and waits never; times are nanoseconds after a start that the caller chooses.

/// How many cells come back in how many nanoseconds, and how many can be taken at once after a pause.
///
/// A cell is one request, or one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    cells: u64,
    period: u64,
    burst: u64,
}

/// Nanoseconds of a minute.
const MINUTE: u64 = 60_000_000_000;

impl Rate {
    /// So many cells a minute, all of which may be taken at once; at least one.
    #[must_use]
    pub fn per_minute(cells: u64) -> Self {
        Self::new(cells, MINUTE)
    }

    /// So many cells in a period of so many nanoseconds, all of which may be taken at once; at least one of each.
    #[must_use]
    pub fn new(cells: u64, period: u64) -> Self {
        let cells = cells.max(1);
        Self { cells, period: period.max(1), burst: cells }
    }

    /// Sets how many may be taken at once after a pause; at least one.
    #[must_use]
    pub fn with_burst(self, burst: u64) -> Self {
        Self { burst: burst.max(1), ..self }
    }

    /// Gives the time that cells take to come back, rounded up to a whole nanosecond.
    #[must_use]
    pub fn time_of(&self, cells: u64) -> u64 {
        let time = (u128::from(cells) * u128::from(self.period)).div_ceil(u128::from(self.cells));
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// Gives the time after which everything has come back.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.time_of(self.burst)
    }

    /// Gives how many cells come back in a time, rounded down.
    fn cells_in(&self, time: u64) -> u64 {
        let cells = u128::from(time) * u128::from(self.cells) / u128::from(self.period);
        u64::try_from(cells).unwrap_or(u64::MAX)
    }
}

/// A limit and what has been taken of it.
///
/// All is kept in `full_at`, the time at which everything that was taken has come back; the literature calls it the
/// theoretical arrival time. A request conforms when that time would then lie no further ahead than a full burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    rate: Rate,
    full_at: u64,
}

impl Gcra {
    /// Begins with nothing taken.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: 0 }
    }

    /// Gives the rate.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Gives the earliest time from `now` on at which so many cells can be taken, after `ahead` others were.
    ///
    /// More cells than a burst holds can be taken when everything has come back; the rest is a debt.
    #[must_use]
    pub fn earliest(&self, now: u64, ahead: u64, cells: u64) -> u64 {
        let window = self.rate.window();
        let full_at = self.full_at.max(now).saturating_add(self.rate.time_of(ahead));
        full_at.saturating_add(self.rate.time_of(cells).min(window)).saturating_sub(window).max(now)
    }

    /// Takes cells at a time that [`earliest`](Self::earliest) gave, or a later one.
    pub fn take(&mut self, at: u64, cells: u64) {
        self.full_at = self.full_at.max(at).saturating_add(self.rate.time_of(cells));
    }

    /// Makes of cells that were taken another number, as though it had been that from the start: what is too much is
    /// given back, what was missing becomes a debt.
    pub fn correct(&mut self, taken: u64, used: u64) {
        let (taken, used) = (self.rate.time_of(taken), self.rate.time_of(used));
        self.full_at = self.full_at.saturating_add(used).saturating_sub(taken);
    }

    /// Gives how many cells can be taken now, rounded down.
    #[must_use]
    pub fn left(&self, now: u64) -> u64 {
        self.rate.cells_in(self.rate.window().saturating_sub(self.full_at.saturating_sub(now)))
    }

    /// Leaves no more than so many cells; less stays less.
    pub fn lower(&mut self, now: u64, left: u64) {
        let missing = self.rate.window().saturating_sub(self.rate.time_of(left));
        self.full_at = self.full_at.max(now.saturating_add(missing));
    }

    /// Takes over from elsewhere how long it takes until everything has come back.
    pub fn note(&mut self, now: u64, owed: u64) {
        self.full_at = now.saturating_add(owed);
    }

    /// Changes the rate; cells that are taken stay taken.
    pub fn change(&mut self, now: u64, rate: Rate) {
        let missing = u128::from(self.full_at.saturating_sub(now));
        let cells = missing * u128::from(self.rate.cells) * u128::from(rate.period);
        let time = cells.div_ceil(u128::from(self.rate.period)).div_ceil(u128::from(rate.cells));
        self.full_at = now.saturating_add(u64::try_from(time).unwrap_or(u64::MAX));
        self.rate = rate;
    }
}

#[cfg(test)]
mod tests;
