//! Books of budgets in memory: reservations over several books at once, and what becomes of those that nobody settles.
//!
//! Decides by `motet_core::budget`, as the store in a file does; holds no lock and reads no clock.

use std::collections::{BTreeMap, HashMap};

use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::error::Result;
use motet_core::id::Millis;

/// The books of one store.
#[derive(Debug, Default)]
pub(crate) struct Books {
    books: BTreeMap<String, Book>,
    held: HashMap<String, Held>,
}

#[derive(Debug)]
struct Held {
    books: Vec<String>,
    amount: Amount,
    until: Millis,
    /// Its time is over, and its amount counts as spent.
    lost: bool,
}

impl Books {
    /// Reserves an amount in all books of a reservation, or in none.
    pub(crate) fn reserve(&mut self, reservation: &StoreReservation, now: Millis) -> Result<()> {
        self.expire(now);
        let mut changed = Vec::with_capacity(reservation.books.len());
        for limit in &reservation.books {
            let mut book = self.books.get(&limit.book).copied().unwrap_or_default();
            book.reserve(&limit.book, &limit.limits, reservation.amount)?;
            changed.push((limit.book.clone(), book));
        }
        let books = changed.iter().map(|(name, _)| name.clone()).collect();
        self.books.extend(changed);
        let (amount, until) = (reservation.amount, now.after(reservation.lease));
        self.held.insert(reservation.id.clone(), Held { books, amount, until, lost: false });
        Ok(())
    }

    /// Settles a reservation; one that is not there was settled before.
    pub(crate) fn settle(&mut self, id: &str, spent: Option<Amount>) {
        let Some(held) = self.held.remove(id) else { return };
        for name in &held.books {
            let Some(book) = self.books.get_mut(name) else { continue };
            match (held.lost, spent) {
                (false, spent) => book.settle(held.amount, spent),
                (true, Some(spent)) => book.correct(held.amount, spent),
                (true, None) => {}
            }
        }
    }

    /// Gives every book by name.
    pub(crate) fn list(&mut self, now: Millis) -> Vec<(String, Book)> {
        self.expire(now);
        self.books.iter().map(|(name, book)| (name.clone(), *book)).collect()
    }

    fn expire(&mut self, now: Millis) {
        for held in self.held.values_mut().filter(|held| !held.lost && held.until <= now) {
            held.lost = true;
            for name in &held.books {
                if let Some(book) = self.books.get_mut(name) {
                    book.settle(held.amount, None);
                }
            }
        }
    }
}
