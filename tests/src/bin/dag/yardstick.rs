//! What the machine gives without a store: flushes of the disk, bare SQL, and a loop that only schedules.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::graph;

/// Measures how often the disk makes a page durable.
pub(crate) fn flushes(directory: &Path) -> Result<f64> {
    const COUNT: u32 = 300;
    let mut file = std::fs::File::create(directory.join("flushes"))?;
    let begun = Instant::now();
    for _ in 0..COUNT {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(f64::from(COUNT) / begun.elapsed().as_secs_f64())
}

/// Measures a loop over a queue that counts dependencies down and keeps results; nothing of it survives anything.
pub(crate) fn plain(tasks: u32) -> f64 {
    let begun = Instant::now();
    let mut remaining: Vec<u32> = Vec::new();
    let mut dependents: Vec<Vec<u32>> = vec![Vec::new(); tasks as usize];
    let mut ready = VecDeque::new();
    for number in 0..tasks {
        let above = graph::above(number);
        remaining.push(above.map_or(0, |two| two.len() as u32));
        match above {
            None => ready.push_back(number),
            Some(two) => two.iter().for_each(|of| {
                dependents.get_mut(*of as usize).into_iter().for_each(|list| list.push(number))
            }),
        }
    }
    let mut results: Vec<Value> = Vec::with_capacity(tasks as usize);
    while let Some(number) = ready.pop_front() {
        results.push(json!({"number": number, "text": "the result of a short task"}));
        for dependent in dependents.get(number as usize).into_iter().flatten() {
            let Some(left) = remaining.get_mut(*dependent as usize) else { continue };
            *left -= 1;
            if *left == 0 {
                ready.push_back(*dependent);
            }
        }
    }
    let rate = f64::from(tasks) / begun.elapsed().as_secs_f64();
    black_box(results);
    rate
}

/// Measures what SQLite does with the same changes of rows and no scheduling: each task is taken by one transaction and
/// ended by the next.
pub(crate) fn sql(directory: &Path) -> Result<f64> {
    const TASKS: u32 = 10_000;
    let connection = Connection::open(directory.join("bare.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE task (n INTEGER PRIMARY KEY, state INTEGER, token TEXT, worker TEXT, at INTEGER);
         CREATE INDEX ready ON task (at, n) WHERE state = 1;
         CREATE TABLE output (n INTEGER PRIMARY KEY, body TEXT);
         CREATE TABLE event (seq INTEGER PRIMARY KEY, body TEXT);
         WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9999)
         INSERT INTO task SELECT n, 0, NULL, NULL, 0 FROM numbers;",
    )?;
    let text = "{\"event\":\"started\",\"attempt\":1,\"worker\":\"1234-0123456789abcdef0123456789abcdef\"}";
    let begun = Instant::now();
    for first in (0..TASKS).step_by(32) {
        for sqls in [
            &[
                "UPDATE task SET state = 1, at = ?1 WHERE n = ?1",
                "UPDATE task SET state = 2, token = ?2, worker = ?2 WHERE n = ?1",
                "INSERT INTO event (seq, body) VALUES (?1 * 2, ?2)",
            ],
            &[
                "UPDATE task SET state = 4, at = ?1 WHERE n = ?1",
                "INSERT INTO output (n, body) VALUES (?1, ?2)",
                "INSERT INTO event (seq, body) VALUES (?1 * 2 + 1, ?2)",
            ],
        ] {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for number in first..(first + 32).min(TASKS) {
                for sql in sqls {
                    let mut statement = connection.prepare_cached(sql)?;
                    match statement.parameter_count() {
                        1 => statement.execute([number])?,
                        _ => statement.execute((number, text))?,
                    };
                }
            }
            connection.execute_batch("COMMIT")?;
        }
    }
    Ok(f64::from(TASKS) / begun.elapsed().as_secs_f64())
}
