//! Books of budgets in tables: what is reserved by one process holds for all that share the file.
//!
//! Decides by `motet_core::budget`; every command runs inside a transaction of the writing thread.

use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::error::Result;
use motet_core::id::Millis;
use motet_core::usage::Cost;
use rusqlite::{Connection, OptionalExtension as _};

use super::failure::OrStore as _;
use super::writer::Session;

const BOOK: &str =
    "SELECT spent_cost, spent_tokens, unknown_cost, unknown_tokens, reserved_cost, reserved_tokens";

/// Reserves an amount in all books of a reservation; the transaction undoes it all where one refuses.
pub(super) fn reserve(session: &Session<'_>, reservation: &StoreReservation) -> Result<()> {
    let connection = session.connection;
    expire(connection, session.now)?;
    let (cost, tokens) = columns(reservation.amount);
    let until = session.now.after(reservation.lease).0;
    for limit in &reservation.books {
        let mut book = read(connection, &limit.book)?;
        book.reserve(&limit.book, &limit.limits, reservation.amount)?;
        write(connection, &limit.book, &book)?;
        const SQL: &str =
            "INSERT INTO held (id, book, cost, tokens, until, lost) VALUES (?1, ?2, ?3, ?4, ?5, 0)";
        let mut statement = connection.prepare_cached(SQL).or_store()?;
        statement.execute((&reservation.id, &limit.book, cost, tokens, until)).or_store()?;
    }
    Ok(())
}

/// Settles a reservation; one that is not there was settled before.
pub(super) fn settle(session: &Session<'_>, id: &str, spent: Option<Amount>) -> Result<()> {
    let connection = session.connection;
    const SQL: &str = "DELETE FROM held WHERE id = ?1 RETURNING book, cost, tokens, lost";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, amount(row.get(1)?, row.get(2)?), row.get::<_, bool>(3)?))
    };
    let held: Vec<_> =
        statement.query_map([id], row).or_store()?.collect::<rusqlite::Result<_>>().or_store()?;
    for (name, reserved, lost) in held {
        let mut book = read(connection, &name)?;
        match (lost, spent) {
            (false, spent) => book.settle(reserved, spent),
            (true, Some(spent)) => book.correct(reserved, spent),
            (true, None) => {}
        }
        write(connection, &name, &book)?;
    }
    Ok(())
}

/// Gives every book by name.
pub(super) fn list(session: &Session<'_>) -> Result<Vec<(String, Book)>> {
    expire(session.connection, session.now)?;
    let sql = format!("{BOOK}, name FROM book ORDER BY name");
    let mut statement = session.connection.prepare_cached(&sql).or_store()?;
    let rows = statement.query_map((), |row| Ok((row.get(6)?, book(row)?))).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Counts reservations whose time is over as spent.
fn expire(connection: &Connection, now: Millis) -> Result<()> {
    const SQL: &str = "UPDATE held SET lost = 1 WHERE lost = 0 AND until <= ?1 RETURNING book, cost, tokens";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, amount(row.get(1)?, row.get(2)?)));
    let lost: Vec<_> =
        statement.query_map([now.0], row).or_store()?.collect::<rusqlite::Result<_>>().or_store()?;
    for (name, reserved) in lost {
        let mut book = read(connection, &name)?;
        book.settle(reserved, None);
        write(connection, &name, &book)?;
    }
    Ok(())
}

fn read(connection: &Connection, name: &str) -> Result<Book> {
    let sql = format!("{BOOK} FROM book WHERE name = ?1");
    let mut statement = connection.prepare_cached(&sql).or_store()?;
    Ok(statement.query_row([name], book).optional().or_store()?.unwrap_or_default())
}

fn write(connection: &Connection, name: &str, book: &Book) -> Result<()> {
    const SQL: &str = "INSERT OR REPLACE INTO book (name, spent_cost, spent_tokens, unknown_cost, unknown_tokens, \
                       reserved_cost, reserved_tokens) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (spent, unknown, reserved) = (columns(book.spent), columns(book.unknown), columns(book.reserved));
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    statement.execute((name, spent.0, spent.1, unknown.0, unknown.1, reserved.0, reserved.1)).or_store()?;
    Ok(())
}

fn book(row: &rusqlite::Row<'_>) -> rusqlite::Result<Book> {
    Ok(Book {
        spent: amount(row.get(0)?, row.get(1)?),
        unknown: amount(row.get(2)?, row.get(3)?),
        reserved: amount(row.get(4)?, row.get(5)?),
    })
}

/// SQLite's numbers have a sign; nine thousand million dollars are enough for anybody.
fn columns(amount: Amount) -> (i64, i64) {
    let column = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    (column(amount.cost.nanos()), column(amount.tokens))
}

fn amount(cost: i64, tokens: i64) -> Amount {
    Amount { cost: Cost::from_nanos(cost.unsigned_abs()), tokens: tokens.unsigned_abs() }
}
