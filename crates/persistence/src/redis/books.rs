//! Books of budgets on the server, kept by one script; a refusal is explained by the arithmetic of all stores.

use motet_core::budget::{Amount, Book, StoreReservation};
use motet_core::error::Result;
use motet_core::usage::Cost;

use super::lists::pairs;
use super::row::{self, Fields, Reader};
use super::server::Server;

/// Reserves an amount in all books of a reservation, or in none.
pub(super) async fn reserve(server: &Server, reservation: &StoreReservation) -> Result<()> {
    let mut words = vec!["reserve".to_owned(), reservation.id.clone(), row::milliseconds(reservation.lease)];
    words.extend(amount(reservation.amount));
    for limit in &reservation.books {
        let cost = limit.limits.cost.map(|cost| cost.nanos().to_string()).unwrap_or_default();
        let tokens = limit.limits.tokens.map(|tokens| tokens.to_string()).unwrap_or_default();
        words.extend([limit.book.clone(), cost, tokens]);
    }
    let refused: Option<(String, Vec<String>)> = ask(server, words).await?.pop();
    let Some((name, found)) = refused else { return Ok(()) };
    let mut book = read(&pairs(found))?;
    let limits = reservation.books.iter().find(|limit| limit.book == name).map(|limit| limit.limits);
    book.reserve(&name, &limits.unwrap_or_default(), reservation.amount)
}

/// Puts what was spent in the place of what was reserved.
pub(super) async fn settle(server: &Server, id: &str, spent: Option<Amount>) -> Result<()> {
    let mut words = vec!["settle".to_owned(), id.to_owned()];
    words.extend(spent.into_iter().flat_map(amount));
    ask(server, words).await.map(drop)
}

/// Gives every book by name.
pub(super) async fn list(server: &Server) -> Result<Vec<(String, Book)>> {
    let words = vec![b"books".to_vec()];
    let found: Vec<(String, Vec<String>)> = server.run(&server.scripts.books, &words).await?;
    found.into_iter().map(|(name, flat)| Ok((name, read(&pairs(flat))?))).collect()
}

async fn ask(server: &Server, words: Vec<String>) -> Result<Vec<(String, Vec<String>)>> {
    let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
    let answer: Vec<redis::Value> = server.run(&server.scripts.books, &words).await?;
    let mut answer = answer.into_iter();
    let (Some(name), Some(fields)) = (answer.next(), answer.next()) else { return Ok(Vec::new()) };
    let read = redis::from_redis_value(redis::Value::Array(vec![name, fields]));
    Ok(vec![read.map_err(|error| super::failure::unreadable("a book", error))?])
}

fn amount(amount: Amount) -> [String; 2] {
    [amount.cost.nanos().to_string(), amount.tokens.to_string()]
}

fn read(fields: &Fields) -> Result<Book> {
    let read = Reader(fields);
    let amount = |part: &str| -> Result<Amount> {
        let number = |what: &str| read.number::<u64>(&format!("{part}_{what}"));
        let (cost, tokens) = (Cost::from_nanos(number("cost")?), number("tokens")?);
        Ok(Amount { cost, tokens })
    };
    Ok(Book { spent: amount("spent")?, unknown: amount("unknown")?, reserved: amount("reserved")? })
}
