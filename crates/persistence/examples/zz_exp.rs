//! x
use rusqlite::*;
fn main() {
    let dir = std::path::Path::new("/dev/shm/exp.db");
    let _ = std::fs::remove_file(dir);
    drop(motet_persistence::sqlite::SqliteStore::open(dir, &Default::default()));
    let c = Connection::open(dir).unwrap(); c.set_db_config(config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    for sql in [
        "SELECT n FROM task INDEXED BY ready WHERE state = 1 AND parked = 0 AND queue = ?1 AND prio = ?2 AND not_before <= ?3 ORDER BY not_before, run, n",
        "SELECT n FROM task INDEXED BY ready WHERE state = 1 AND parked = 0 AND queue = ?1 AND prio = ?2 AND not_before <= +?3 ORDER BY not_before, run, n",
        "SELECT n FROM task INDEXED BY ready WHERE state = 1 AND parked = 0 AND queue = ?1 AND prio = +?2 AND not_before <= +?3 ORDER BY not_before, run, n",
        "SELECT n FROM task INDEXED BY ready WHERE state = 1 AND parked = 0 AND queue = +?1 AND prio = +?2 AND not_before <= +?3 ORDER BY not_before, run, n",
        "SELECT n FROM task INDEXED BY ready WHERE +state = 1 AND state = 1 AND parked = 0 AND queue = ?1 AND prio = ?2",
        "SELECT n FROM task WHERE run = ?1 AND n = ?2",
        "UPDATE task SET state = ?1, not_before = ?2, due = ?3 WHERE run = ?1 AND n = ?2",
        "SELECT task.n FROM edge CROSS JOIN task ON task.run = edge.run AND task.n = edge.dst WHERE edge.run = ?1 AND edge.src = ?2 ORDER BY edge.dst",
    ] {
        let mut s = c.prepare(sql).unwrap();
        for i in 0..10 {
            for p in 1..=s.parameter_count() { s.raw_bind_parameter(p, i).unwrap(); }
            let mut r = s.raw_query();
            while r.next().unwrap_or(None).is_some() {}
        }
        println!("{} {sql}", s.get_status(StatementStatus::RePrepare));
    }
}
