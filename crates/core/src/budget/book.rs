//! The arithmetic of a budget's book: what was spent, what is reserved, and whether more fits.
//!
//! Pure: the same for books in memory and in every store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result, duration_ms};
use crate::usage::Cost;

/// Money and tokens together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Money.
    pub cost: Cost,
    /// Tokens of input and output.
    pub tokens: u64,
}

impl Amount {
    /// Adds another.
    #[must_use]
    pub fn plus(self, other: Amount) -> Amount {
        Amount { cost: self.cost + other.cost, tokens: self.tokens.saturating_add(other.tokens) }
    }

    fn minus(self, other: Amount) -> Amount {
        Amount {
            cost: Cost::from_nanos(self.cost.nanos().saturating_sub(other.cost.nanos())),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}

/// How much may be spent; what is `None` is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Money.
    pub cost: Option<Cost>,
    /// Tokens of input and output together.
    pub tokens: Option<u64>,
}

impl Limits {
    /// Tells whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

/// A book by its name, and what may be spent by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookLimit {
    /// Name of the book, such as `tenant acme` or `day 2026-05-03`.
    pub book: String,
    /// What may be spent.
    pub limits: Limits,
}

/// An amount to be reserved in several books of a store at once: in all of them, or in none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreReservation {
    /// Name of the reservation, used once.
    pub id: String,
    /// The books, and their limits.
    pub books: Vec<BookLimit>,
    /// What is reserved in each.
    pub amount: Amount,
    /// Time after which it counts as spent, should nobody settle it; in milliseconds when sent.
    #[serde(with = "duration_ms")]
    pub lease: Duration,
}

/// What was spent and reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    /// Spent, as answers told.
    pub spent: Amount,
    /// Counted as spent, because a provider may have billed it and nobody knows how much.
    pub unknown: Amount,
    /// Reserved by calls that go on.
    pub reserved: Amount,
}

impl Book {
    /// Reserves an amount if it fits; `name` tells the user which book it is.
    ///
    /// # Errors
    /// `BudgetExceeded`, with what there is and what is needed; then nothing changes.
    pub fn reserve(&mut self, name: &str, limits: &Limits, needed: Amount) -> Result<()> {
        let used = self.spent.plus(self.unknown).plus(self.reserved);
        let after = used.plus(needed);
        if let Some(limit) = limits.cost.filter(|limit| after.cost > *limit) {
            let of = |amount: Amount| amount.cost.to_string();
            return Err(self.exceeded(name, &limit.to_string(), needed, of));
        }
        if let Some(limit) = limits.tokens.filter(|limit| after.tokens > *limit) {
            let of = |amount: Amount| format!("{} tokens", amount.tokens);
            return Err(self.exceeded(name, &format!("{limit} tokens"), needed, of));
        }
        self.reserved = self.reserved.plus(needed);
        Ok(())
    }

    /// Puts what was spent in the place of what was reserved; `None` counts the whole of it as spent.
    pub fn settle(&mut self, reserved: Amount, spent: Option<Amount>) {
        self.reserved = self.reserved.minus(reserved);
        match spent {
            Some(spent) => self.spent = self.spent.plus(spent),
            None => self.unknown = self.unknown.plus(reserved),
        }
    }

    /// Learns what was spent by a reservation that had been counted as spent in whole.
    pub fn correct(&mut self, reserved: Amount, spent: Amount) {
        self.unknown = self.unknown.minus(reserved);
        self.spent = self.spent.plus(spent);
    }

    fn exceeded(&self, name: &str, limit: &str, needed: Amount, of: impl Fn(Amount) -> String) -> Error {
        let spent = self.spent.plus(self.unknown);
        let message = format!(
            "the budget of the {name} is {limit}: {} are spent, {} reserved, and this call may need {}",
            of(spent),
            of(self.reserved),
            of(needed)
        );
        let hint = if self.reserved == Amount::default() {
            "lower `max_tokens` or shorten the input, or raise the budget"
        } else {
            "wait until the calls that go on have ended, lower `max_tokens`, or raise the budget"
        };
        Error::new(ErrorKind::BudgetExceeded, message)
            .with_hint(hint)
            .with_context("budget", name)
            .with_context("limit", limit)
            .with_context("spent", of(spent))
            .with_context("reserved", of(self.reserved))
            .with_context("needed", of(needed))
            .with_unsent()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(nanos: u64, tokens: u64) -> Amount {
        Amount { cost: Cost::from_nanos(nanos), tokens }
    }

    #[test]
    fn a_refusal_tells_all_numbers_and_changes_nothing() {
        let mut book = Book::default();
        let limits = Limits { cost: Some(Cost::from_nanos(10_000_000)), tokens: None };
        book.reserve("run", &limits, amount(8_000_000, 5)).unwrap();
        book.settle(amount(8_000_000, 5), Some(amount(3_000_000, 2)));
        book.reserve("run", &limits, amount(2_000_000, 0)).unwrap();
        let before = book;
        let error = book.reserve("run", &limits, amount(6_000_000, 0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
        assert_eq!(
            error.message(),
            "the budget of the run is $0.01: $0.003 are spent, $0.002 reserved, and this call may need $0.006"
        );
        assert_eq!(book, before);
        book.reserve("run", &limits, amount(5_000_000, 0)).unwrap();
        let tokens = Limits { cost: None, tokens: Some(10) };
        let error = book.reserve("day 2026-05-03", &tokens, amount(0, 9)).unwrap_err();
        assert!(
            error.message().starts_with("the budget of the day 2026-05-03 is 10 tokens: 2 tokens are spent")
        );
    }

    #[test]
    fn what_nobody_knows_counts_in_whole_until_it_is_known() {
        let mut book = Book::default();
        book.reserve("run", &Limits::default(), amount(5, 5)).unwrap();
        book.settle(amount(5, 5), None);
        assert_eq!((book.unknown, book.reserved), (amount(5, 5), amount(0, 0)));
        book.correct(amount(5, 5), amount(2, 1));
        assert_eq!(book, Book { spent: amount(2, 1), ..Book::default() });
    }

    proptest! {
        /// However calls come and end, what is spent stays below the limit as long as no call costs more than reserved.
        #[test]
        fn a_limit_holds_whatever_comes(steps in proptest::collection::vec((0..400_u64, 0..100_u64, any::<bool>()), 0..60)) {
            let limits = Limits { cost: Some(Cost::from_nanos(1_000)), tokens: Some(1_000) };
            let (mut book, mut open) = (Book::default(), Vec::new());
            for (size, share, known) in steps {
                if size % 3 == 0 && let Some(reserved) = open.pop() {
                    let reserved: Amount = reserved;
                    let part = reserved.tokens * share / 100;
                    book.settle(reserved, known.then(|| amount(part, part)));
                } else if book.reserve("run", &limits, amount(size, size)).is_ok() {
                    open.push(amount(size, size));
                }
                let total = book.spent.plus(book.unknown).plus(book.reserved);
                prop_assert!(total.cost.nanos() <= 1_000 && total.tokens <= 1_000);
                let sum: u64 = open.iter().map(|amount| amount.tokens).sum();
                prop_assert_eq!(book.reserved.tokens, sum);
            }
        }
    }
}
