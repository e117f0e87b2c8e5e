-- A store as version 4 of its tables leaves it: one run goes on with a task in the hands of a worker that is gone, one failed.
CREATE TABLE answer (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kept_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL, body BLOB NOT NULL
);
INSERT INTO "answer" VALUES(1,'k',1770000000000,4102444800000,4,X'6B657074');
CREATE TABLE answer_lease (
    key TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE book (
    name TEXT NOT NULL PRIMARY KEY, spent_cost INTEGER NOT NULL, spent_tokens INTEGER NOT NULL,
    unknown_cost INTEGER NOT NULL, unknown_tokens INTEGER NOT NULL, reserved_cost INTEGER NOT NULL,
    reserved_tokens INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "book" VALUES('day 2026-05-03',1500000000,100,0,0,250000000,50);
CREATE TABLE definition (
    run INTEGER PRIMARY KEY, definition TEXT NOT NULL, inputs TEXT NOT NULL, settings TEXT NOT NULL
);
INSERT INTO "definition" VALUES(1,'{"tasks":["a","b"]}','{"x":1.5}','{"directory":"."}');
INSERT INTO "definition" VALUES(2,'{"tasks":["a","b"]}','{"x":1.5}','{"directory":"."}');
CREATE TABLE edge (run INTEGER NOT NULL, src INTEGER NOT NULL, dst INTEGER NOT NULL, PRIMARY KEY (run, src, dst)) WITHOUT ROWID;
INSERT INTO "edge" VALUES(1,0,2);
INSERT INTO "edge" VALUES(1,1,2);
INSERT INTO "edge" VALUES(2,0,1);
CREATE TABLE held (
    id TEXT NOT NULL, book TEXT NOT NULL, cost INTEGER NOT NULL, tokens INTEGER NOT NULL, until INTEGER NOT NULL,
    lost INTEGER NOT NULL, PRIMARY KEY (id, book)
) WITHOUT ROWID;
INSERT INTO "held" VALUES('r1','day 2026-05-03',250000000,50,4102444800000,0);
CREATE TABLE item (
    run INTEGER NOT NULL, name TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, step TEXT NOT NULL,
    kind TEXT AS (body ->> '$.entry') VIRTUAL, body TEXT NOT NULL, PRIMARY KEY (run, name, n)
) WITHOUT ROWID;
INSERT INTO "item" VALUES(1,'i',1,1770000000002,'s','{"version":"1","at":1770000000002,"step":"s","entry":"finished","result":7}');
CREATE TABLE journal (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, task INTEGER NOT NULL, at INTEGER NOT NULL, step TEXT NOT NULL,
    kind TEXT AS (body ->> '$.entry') VIRTUAL, body TEXT NOT NULL, PRIMARY KEY (run, seq)
) WITHOUT ROWID;
INSERT INTO "journal" VALUES(1,1,0,1770000000002,'a/model','{"version":"1","at":1770000000002,"step":"a/model","entry":"finished","result":{"phase":"full"}}');
CREATE TABLE meta (k TEXT NOT NULL PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE output (run INTEGER NOT NULL, task INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, task)) WITHOUT ROWID;
INSERT INTO "output" VALUES(1,0,'{"phase":"full"}');
CREATE TABLE payload (run INTEGER NOT NULL, n INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, n)) WITHOUT ROWID;
INSERT INTO "payload" VALUES(1,0,'{"item":"moon"}');
CREATE TABLE run (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, kind TEXT NOT NULL, state INTEGER NOT NULL,
    tasks INTEGER NOT NULL, next INTEGER NOT NULL, open INTEGER NOT NULL, active INTEGER NOT NULL,
    done INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, fatal INTEGER NOT NULL,
    seq INTEGER NOT NULL, created_at INTEGER NOT NULL, ended_at INTEGER
);
INSERT INTO "run" VALUES(1,'goes-on','of goes-on','workflow',0,4,4,3,1,1,0,0,0,1,1770000000000,NULL);
INSERT INTO "run" VALUES(2,'failed','of failed','workflow',4,2,2,1,0,0,1,0,1,0,1770000000000,1770000000009);
CREATE TABLE task (
    run INTEGER NOT NULL, n INTEGER NOT NULL, name TEXT NOT NULL, queue TEXT NOT NULL, prio INTEGER NOT NULL,
    state INTEGER NOT NULL, parked INTEGER NOT NULL, remaining INTEGER NOT NULL, attempt INTEGER NOT NULL,
    forgiven INTEGER NOT NULL, crashes INTEGER NOT NULL, parent INTEGER, open_children INTEGER NOT NULL,
    failed_children INTEGER NOT NULL, joining INTEGER NOT NULL, on_failure INTEGER NOT NULL, retry TEXT,
    not_before INTEGER NOT NULL, token TEXT, worker TEXT, lease_until INTEGER NOT NULL, started_at INTEGER,
    ended_at INTEGER, journal INTEGER NOT NULL, journal_after INTEGER NOT NULL, due INTEGER, error TEXT,
    PRIMARY KEY (run, n)
) WITHOUT ROWID;
INSERT INTO "task" VALUES(1,0,'a','default',2,4,0,0,1,0,0,NULL,0,0,0,0,NULL,1770000000000,'1-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a','1-gone',1770000060000,1770000000001,1770000000002,1,0,NULL,NULL);
INSERT INTO "task" VALUES(1,1,'b','default',2,2,0,0,1,0,0,NULL,0,0,0,0,'{"max_attempts":3,"backoff":"exponential","base_delay":1000,"max_delay":60000,"jitter":false}',1770000000000,'1-0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b','1-gone',4102444800000,1770000000003,NULL,0,0,4102444800000,NULL);
INSERT INTO "task" VALUES(1,2,'c','default',2,0,0,2,0,0,0,NULL,0,0,0,0,NULL,1770000000000,NULL,NULL,0,NULL,NULL,0,0,NULL,NULL);
INSERT INTO "task" VALUES(1,3,'later','default',2,1,0,0,0,0,0,NULL,0,0,0,0,NULL,1770000000000,NULL,NULL,0,NULL,NULL,0,0,NULL,NULL);
INSERT INTO "task" VALUES(2,0,'x','default',2,5,0,0,1,0,0,NULL,0,0,0,0,NULL,1770000000000,'1-0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c','1-gone',0,1770000000004,1770000000009,0,0,NULL,'{"kind":"tool_failed","message":"the tide table is missing"}');
INSERT INTO "task" VALUES(2,1,'y','default',2,0,0,1,0,0,0,NULL,0,0,0,0,NULL,1770000000000,NULL,NULL,0,NULL,NULL,0,0,NULL,NULL);
CREATE INDEX ready ON task (queue, prio, not_before, run, n) WHERE state = 1 AND parked = 0;
CREATE INDEX ready_of_run ON task (run, queue, prio, not_before, n) WHERE state = 1 AND parked = 0;
CREATE INDEX due ON task (due) WHERE due IS NOT NULL;
CREATE INDEX edge_by_dst ON edge (run, dst, src);
CREATE INDEX journal_by_task ON journal (run, task, seq);
CREATE INDEX held_until ON held (until) WHERE lost = 0;
CREATE VIEW books AS SELECT name, spent_cost / 1e9 AS spent, unknown_cost / 1e9 AS unknown,
    reserved_cost / 1e9 AS reserved, spent_tokens, unknown_tokens, reserved_tokens FROM book;
CREATE INDEX answer_by_expiry ON answer (expires_at);
CREATE VIEW runs AS SELECT id, name, CASE state WHEN 0 THEN 'running' END AS state FROM run;
CREATE VIEW tasks AS SELECT run, n, name FROM task;
PRAGMA application_id = 1299149925;
PRAGMA user_version = 4;
