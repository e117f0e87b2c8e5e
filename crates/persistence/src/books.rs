//! Books of budgets in memory: reservations over several books at once, and what becomes of those that nobody settles.
//!
//! Decides by `motet_core::budget`, as the store in a file does; holds no lock and reads no clock.

use std::collections::{BTreeMap, HashMap, HashSet};

use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::error::Result;
use motet_core::id::Millis;
use serde::{Deserialize, Serialize};

/// The books of one store.
#[derive(Debug, Default)]
pub(crate) struct Books {
    books: BTreeMap<String, Book>,
    held: HashMap<String, Held>,
    /// What changed, where somebody wants to know.
    touched: Option<HashSet<BookTouch>>,
}

/// A row that changed, was made, or is gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum BookTouch {
    /// A book, by its name.
    Book(String),
    /// A reservation, by its name.
    Held(String),
}

/// A reservation that nobody has settled yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Held {
    books: Vec<String>,
    amount: Amount,
    until: Millis,
    /// Its time is over, and its amount counts as spent.
    lost: bool,
}

impl Books {
    /// Makes books that note what changes.
    pub(crate) fn noting() -> Self {
        Self { touched: Some(HashSet::new()), ..Self::default() }
    }

    /// Puts books and reservations in that were kept.
    pub(crate) fn restore(&mut self, books: Vec<(String, Book)>, held: Vec<(String, Held)>) {
        self.books = books.into_iter().collect();
        self.held = held.into_iter().collect();
    }

    /// Gives what changed since the last time.
    pub(crate) fn take_touched(&mut self) -> HashSet<BookTouch> {
        self.touched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn book(&self, name: &str) -> Option<&Book> {
        self.books.get(name)
    }

    pub(crate) fn held(&self, id: &str) -> Option<&Held> {
        self.held.get(id)
    }

    /// Notes that a reservation changed, and its books with it.
    fn touch(&mut self, id: &str, books: &[String]) {
        if let Some(touched) = &mut self.touched {
            touched.insert(BookTouch::Held(id.to_owned()));
            touched.extend(books.iter().cloned().map(BookTouch::Book));
        }
    }

    /// Reserves an amount in all books of a reservation, or in none.
    pub(crate) fn reserve(&mut self, reservation: &StoreReservation, now: Millis) -> Result<()> {
        self.expire(now);
        let mut changed = Vec::with_capacity(reservation.books.len());
        for limit in &reservation.books {
            let mut book = self.books.get(&limit.book).copied().unwrap_or_default();
            book.reserve(&limit.book, &limit.limits, reservation.amount)?;
            changed.push((limit.book.clone(), book));
        }
        let books: Vec<String> = changed.iter().map(|(name, _)| name.clone()).collect();
        self.touch(&reservation.id, &books);
        self.books.extend(changed);
        let (amount, until) = (reservation.amount, now.after(reservation.lease));
        self.held.insert(reservation.id.clone(), Held { books, amount, until, lost: false });
        Ok(())
    }

    /// Settles a reservation; one that is not there was settled before.
    pub(crate) fn settle(&mut self, id: &str, spent: Option<Amount>) {
        let Some(held) = self.held.remove(id) else { return };
        self.touch(id, &held.books);
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
        let over = self.held.iter_mut().filter(|(_, held)| !held.lost && held.until <= now);
        let mut lost = Vec::new();
        for (id, held) in over {
            held.lost = true;
            for name in &held.books {
                if let Some(book) = self.books.get_mut(name) {
                    book.settle(held.amount, None);
                }
            }
            lost.push((id.clone(), held.books.clone()));
        }
        lost.iter().for_each(|(id, books)| self.touch(id, books));
    }
}
