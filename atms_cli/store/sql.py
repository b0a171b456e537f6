"""The read model's schema and statements, by name. A test holds the plan of each hot one to its index.

They are Python constants and not .sql files because a compiled module loads faster than files are opened and split.
"""

from __future__ import annotations

#: Changing the schema means raising this: an index of another version is dropped and rebuilt from the journal.
SCHEMA_VERSION = 4

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- How far each replica's journal has been read: the segment, the offset in it, and the seal of the line before.
CREATE TABLE positions (replica TEXT PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL, seal TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
  key TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
  replica TEXT NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
  PRIMARY KEY (key, id)
) WITHOUT ROWID;
CREATE INDEX events_by_id ON events (id);

-- `doc` is the whole task as JSON; the columns beside it are what is searched and sorted by.
-- `bucket` is the status, with `queued` split into ready, delayed (not_before) and waiting (on dependencies).
CREATE TABLE tasks (
  id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL, title TEXT NOT NULL, status TEXT NOT NULL, bucket TEXT NOT NULL, level INTEGER NOT NULL,
  category TEXT NOT NULL, feature TEXT, agent TEXT, parent TEXT, born TEXT NOT NULL, last TEXT NOT NULL, queued TEXT, updated TEXT NOT NULL,
  not_before TEXT, deadline TEXT, lease_ends TEXT, closed INTEGER NOT NULL, met INTEGER NOT NULL, blockers INTEGER NOT NULL
);
CREATE INDEX tasks_ready ON tasks (level, queued, born) WHERE bucket = 'ready';
CREATE INDEX tasks_delayed ON tasks (not_before) WHERE bucket = 'delayed';
CREATE INDEX tasks_leased ON tasks (lease_ends) WHERE lease_ends IS NOT NULL;
CREATE INDEX tasks_due ON tasks (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX tasks_listed ON tasks (closed, born);
CREATE INDEX tasks_by_status ON tasks (status, closed, born);
CREATE INDEX tasks_by_bucket ON tasks (bucket, closed, born);
CREATE INDEX tasks_by_level ON tasks (level, closed, born);
CREATE INDEX tasks_by_category ON tasks (category, closed, born);
CREATE INDEX tasks_by_feature ON tasks (feature, closed, born) WHERE feature IS NOT NULL;
CREATE INDEX tasks_by_agent ON tasks (agent, closed, born) WHERE agent IS NOT NULL;
CREATE INDEX tasks_by_update ON tasks (updated);

CREATE TABLE dependencies (task TEXT NOT NULL, needs TEXT NOT NULL, PRIMARY KEY (task, needs)) WITHOUT ROWID;
CREATE INDEX dependencies_by_need ON dependencies (needs, task);
CREATE TABLE tags (tag TEXT NOT NULL, task TEXT NOT NULL, PRIMARY KEY (tag, task)) WITHOUT ROWID;
CREATE INDEX tags_by_task ON tags (task);

-- `started` is the id of the event; numbers begin anew when a person asks for another try.
CREATE TABLE attempts (run TEXT PRIMARY KEY, task TEXT NOT NULL, started TEXT NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX attempts_by_task ON attempts (task, started);
CREATE TABLE agents (name TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
-- When an agent was last heard of, which is in no journal.
CREATE TABLE heartbeats (name TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE features (id TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;

-- Counts are kept, not taken: `status` must cost the same with a hundred thousand tasks.
CREATE TABLE counts (bucket TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER count_new AFTER INSERT ON tasks BEGIN
  INSERT INTO counts VALUES (new.bucket, 1) ON CONFLICT (bucket) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER count_moved AFTER UPDATE OF bucket ON tasks WHEN old.bucket <> new.bucket BEGIN
  UPDATE counts SET n = n - 1 WHERE bucket = old.bucket;
  INSERT INTO counts VALUES (new.bucket, 1) ON CONFLICT (bucket) DO UPDATE SET n = n + 1;
END;
"""

#: Of the table `tasks`, in the order of `projector.task_row`.
TASK_COLUMNS = (
    "id", "doc", "title", "status", "bucket", "level", "category", "feature", "agent", "parent", "born", "last", "queued", "updated",
    "not_before", "deadline", "lease_ends", "closed", "met", "blockers",
)  # fmt: skip
PUT_TASK = f"INSERT INTO tasks ({', '.join(TASK_COLUMNS)}) VALUES ({', '.join('?' * len(TASK_COLUMNS))})"
REPLACE_TASK = PUT_TASK.replace("INSERT", "INSERT OR REPLACE", 1)
TASK_ROW = f"SELECT {', '.join(TASK_COLUMNS)} FROM tasks WHERE id = ?"
PUT_EVENT = "INSERT OR IGNORE INTO events (key, id, type, replica, segment, offset) VALUES (?, ?, ?, ?, ?, ?)"
PUT_POSITION = "INSERT OR REPLACE INTO positions (replica, segment, offset, seal) VALUES (?, ?, ?, ?)"
PUT_ATTEMPT = "INSERT OR REPLACE INTO attempts (run, task, started, doc) VALUES (?, ?, ?, ?)"
END_ATTEMPT = "UPDATE attempts SET doc = ? WHERE run = ?"
PUT_AGENT = "INSERT INTO agents (name, doc) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET doc = ?2"
PUT_FEATURE = "INSERT OR REPLACE INTO features (id, doc) VALUES (?, ?)"
PUT_META = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"
PUT_DEPENDENCY = "INSERT OR IGNORE INTO dependencies (task, needs) VALUES (?, ?)"
PUT_TAG = "INSERT OR IGNORE INTO tags (task, tag) VALUES (?, ?)"
DROP_DEPENDENCY = "DELETE FROM dependencies WHERE task = ? AND needs = ?"
DROP_TAG = "DELETE FROM tags WHERE task = ? AND tag = ?"
DROP_ATTEMPTS = "DELETE FROM attempts WHERE task = ?"
DROP_AGENT = "DELETE FROM agents WHERE name = ?"
BEAT = "INSERT OR REPLACE INTO heartbeats (name, at) VALUES (?, ?)"

TASK = "SELECT doc, born, last FROM tasks WHERE id = ?"
TASK_BY_PREFIX = "SELECT id FROM tasks WHERE id >= ?1 AND id < ?1 || '{' ORDER BY id LIMIT 10"
EVENTS_OF = "SELECT replica, segment, offset FROM events WHERE key = ? ORDER BY id"
LATER_EVENT = "SELECT 1 FROM events WHERE key = ? AND id > ? LIMIT 1"
#: The id is there to be compared: a reader holds no lock, and offsets change when a segment is rewritten.
HISTORY = "SELECT replica, segment, offset, id FROM events WHERE key = ? ORDER BY id"
IDS_OF = "SELECT id FROM events WHERE key = ? ORDER BY id"
IN_BETWEEN = "SELECT 1 FROM events WHERE key = ? AND id > ? AND id < ? LIMIT 1"
EVENTS_AFTER = "SELECT replica, segment, offset, id FROM events WHERE id > ? ORDER BY id"
#: A fold is no change that anybody made.
LAST_EVENTS = "SELECT replica, segment, offset, id FROM events WHERE type <> 'task.folded' ORDER BY id DESC LIMIT ?"
FOLDS_SINCE = (
    "SELECT e.replica, e.segment, e.offset, e.id FROM tasks t CROSS JOIN events e ON e.key = t.id AND e.type = 'task.folded' "
    "WHERE t.updated >= ?"
)
LAST_EVENT_ID = "SELECT id FROM events ORDER BY id DESC LIMIT 1"
POSITIONS = "SELECT replica, segment, offset, seal FROM positions"
META = "SELECT value FROM meta WHERE name = ?"
COUNTS = "SELECT bucket, n FROM counts WHERE n > 0"
AGENT = "SELECT doc FROM agents WHERE name = ?"
AGENTS = "SELECT doc FROM agents ORDER BY name"
HEARTBEATS = "SELECT name, at FROM heartbeats"
FEATURE = "SELECT doc FROM features WHERE id = ?"
FEATURES = "SELECT doc FROM features ORDER BY id"
FEATURE_STATUSES = "SELECT status FROM tasks WHERE feature = ?"
ATTEMPTS_OF = "SELECT doc FROM attempts WHERE task = ? ORDER BY started"
LATEST_ATTEMPT = "SELECT doc FROM attempts WHERE task = ? ORDER BY started DESC LIMIT 1"

#: Open dependencies of a task.
BLOCKERS = (
    "SELECT d.needs, ifnull(t.title, 'not here yet'), ifnull(t.status, 'created') FROM dependencies d LEFT JOIN tasks t ON t.id = d.needs "
    "WHERE d.task = ? AND t.met IS NOT 1 ORDER BY t.born"
)
COUNT_BLOCKERS = (
    "SELECT count(*) FROM dependencies d LEFT JOIN tasks t ON t.id = d.needs WHERE d.task = ? AND t.met IS NOT 1"
)
NEEDS = "SELECT needs FROM dependencies WHERE task = ?"
TAGS = "SELECT tag FROM tags WHERE task = ?"
WAITING_ON = (
    "SELECT t.id, t.title, t.status, t.blockers FROM dependencies d CROSS JOIN tasks t ON t.id = d.task "
    "WHERE d.needs = ? AND t.closed = 0 ORDER BY t.born"
)
RECOUNT = """
UPDATE tasks SET blockers = (SELECT count(*) FROM dependencies d LEFT JOIN tasks t ON t.id = d.needs WHERE d.task = tasks.id AND t.met IS NOT 1)
WHERE id IN (SELECT task FROM dependencies WHERE needs = ?)
"""
REBUCKET = """
UPDATE tasks SET bucket = CASE WHEN blockers > 0 THEN 'waiting' WHEN not_before IS NOT NULL THEN 'delayed' ELSE 'ready' END
WHERE +status = 'queued' AND id IN (SELECT task FROM dependencies WHERE needs = ?)
"""
RECOUNT_ALL = """
UPDATE tasks SET blockers = (SELECT count(*) FROM dependencies d LEFT JOIN tasks t ON t.id = d.needs WHERE d.task = tasks.id AND t.met IS NOT 1)
WHERE id IN (SELECT task FROM dependencies)
"""
REBUCKET_ALL = "UPDATE tasks SET bucket = 'waiting' WHERE +status = 'queued' AND blockers > 0"
COUNT_ALL = "INSERT INTO counts SELECT bucket, count(*) FROM tasks GROUP BY bucket"
PROMOTE = "UPDATE tasks SET bucket = 'ready' WHERE bucket = 'delayed' AND not_before <= ?"

READY_OF_LEVEL = (
    "SELECT id, queued FROM tasks INDEXED BY tasks_ready WHERE bucket = 'ready' AND level = ? ORDER BY queued, born"
)
READY_OF_LEVEL_DOWN = "SELECT id, queued FROM tasks INDEXED BY tasks_ready WHERE bucket = 'ready' AND level = ? ORDER BY queued DESC, born DESC"
DUE = "SELECT id, level, queued FROM tasks INDEXED BY tasks_delayed WHERE bucket = 'delayed' AND not_before <= ? ORDER BY queued, born"
NEXT_DUE = "SELECT min(not_before) FROM tasks INDEXED BY tasks_delayed WHERE bucket = 'delayed'"
EXPIRED = "SELECT id FROM tasks INDEXED BY tasks_leased WHERE lease_ends <= ? ORDER BY lease_ends"
NEXT_EXPIRY = "SELECT min(lease_ends) FROM tasks INDEXED BY tasks_leased WHERE lease_ends IS NOT NULL"
OF_STATUS = "SELECT doc FROM tasks INDEXED BY tasks_by_status WHERE status = ? ORDER BY closed, born"
LOAD = (
    "SELECT agent, count(*) FROM tasks INDEXED BY tasks_by_status "
    "WHERE status IN ('assigned', 'in_progress', 'validating') AND agent IS NOT NULL GROUP BY agent"
)
#: Tasks that wait for one that failed or was given up: nothing will move them but a person.
STUCK = (
    "SELECT count(DISTINCT w.id) FROM tasks t INDEXED BY tasks_by_status JOIN dependencies d ON d.needs = t.id "
    "JOIN tasks w ON w.id = d.task AND w.bucket = 'waiting' WHERE t.status IN ('failed', 'cancelled')"
)
