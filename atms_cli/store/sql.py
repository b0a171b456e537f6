"""The read model's schema and statements, by name. A test holds the plan of each hot one to its index.

They are Python constants and not .sql files because a compiled module loads faster than files are opened and split.
"""

from __future__ import annotations

#: Changing the schema means raising this: an index of another version is dropped and rebuilt from the journal.
SCHEMA_VERSION = 12

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
CREATE INDEX events_past_gates ON events (id) WHERE type = 'task.overridden';

-- `doc` is the whole task as JSON; the columns beside it are what is searched and sorted by.
-- `bucket` is the status, with `queued` split into ready, delayed (not_before) and waiting (on dependencies); a template of a
-- recurring task is in `recurring`.
-- `level` is the most urgent of the task's own and those of the tasks that wait for it.
-- `outcome` is what the task means to those that wait for it: met, failed, dropped, going (it will end by itself), idle.
-- `grp` and `tail` are kept for strategies that sort by them (ordering.py), else null.
CREATE TABLE tasks (
  id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL, title TEXT NOT NULL, status TEXT NOT NULL, bucket TEXT NOT NULL,
  own INTEGER NOT NULL, level INTEGER NOT NULL, lane TEXT NOT NULL, pin REAL NOT NULL, since TEXT, nudge REAL NOT NULL, grp TEXT, tail REAL,
  category TEXT NOT NULL, feature TEXT, agent TEXT, parent TEXT, born TEXT NOT NULL, last TEXT NOT NULL, updated TEXT NOT NULL, demand TEXT NOT NULL,
  not_before TEXT, deadline TEXT, risk TEXT, lease_ends TEXT, closed INTEGER NOT NULL, outcome TEXT NOT NULL, blockers INTEGER NOT NULL
);
CREATE INDEX tasks_ready ON tasks (lane, pin, level, since, nudge, born, demand) WHERE bucket = 'ready';
CREATE INDEX tasks_ready_by_group ON tasks (lane, grp, level, since, nudge, born, demand) WHERE bucket = 'ready' AND grp IS NOT NULL;
CREATE INDEX tasks_ready_by_tail ON tasks (lane, tail DESC, level, since, nudge, born, demand) WHERE bucket = 'ready' AND tail IS NOT NULL;
CREATE INDEX tasks_ready_by_deadline ON tasks (lane, deadline, born) WHERE bucket = 'ready' AND deadline IS NOT NULL;
CREATE INDEX tasks_ready_by_risk ON tasks (lane, risk) WHERE bucket = 'ready' AND deadline IS NOT NULL;
CREATE INDEX tasks_delayed ON tasks (not_before) WHERE bucket = 'delayed';
CREATE INDEX tasks_recurring ON tasks (not_before) WHERE bucket = 'recurring';
CREATE INDEX tasks_in_families ON tasks (parent) WHERE parent IS NOT NULL;
CREATE INDEX tasks_leased ON tasks (lease_ends) WHERE lease_ends IS NOT NULL;
CREATE INDEX tasks_due ON tasks (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX tasks_listed ON tasks (closed, born);
CREATE INDEX tasks_by_status ON tasks (status, closed, born);
CREATE INDEX tasks_by_bucket ON tasks (bucket, closed, born);
CREATE INDEX tasks_by_level ON tasks (own, closed, born);
CREATE INDEX tasks_by_category ON tasks (category, closed, born);
CREATE INDEX tasks_by_feature ON tasks (feature, closed, born) WHERE feature IS NOT NULL;
CREATE INDEX tasks_by_agent ON tasks (agent, closed, born) WHERE agent IS NOT NULL;
CREATE INDEX tasks_by_lane ON tasks (lane, closed, born) WHERE lane <> 'default';
CREATE INDEX tasks_by_update ON tasks (updated);

CREATE TABLE dependencies (task TEXT NOT NULL, needs TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (task, needs)) WITHOUT ROWID;
CREATE INDEX dependencies_by_need ON dependencies (needs, task, kind);
CREATE INDEX dependencies_soft ON dependencies (needs) WHERE kind = 'soft';
-- Pairs of which the one that is waited for is the younger: few, and only through them can a circle close.
CREATE TABLE forward (
  task TEXT NOT NULL, needs TEXT NOT NULL, born TEXT NOT NULL, waiting TEXT NOT NULL, PRIMARY KEY (task, needs)
) WITHOUT ROWID;
CREATE INDEX forward_by_birth ON forward (born);
CREATE INDEX forward_by_waiting ON forward (waiting);
CREATE INDEX forward_by_need ON forward (needs);
-- How much each group of a lane was given, decayed (domain/shares.py), and when last.
CREATE TABLE usage (lane TEXT NOT NULL, grp TEXT NOT NULL, value REAL NOT NULL, at TEXT NOT NULL, PRIMARY KEY (lane, grp)) WITHOUT ROWID;
-- Tasks whose `tail` has to be looked at again.
CREATE TABLE stale (task TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE tags (
  task TEXT NOT NULL, tag TEXT NOT NULL, closed INTEGER NOT NULL, born TEXT NOT NULL, PRIMARY KEY (task, tag)
) WITHOUT ROWID;
CREATE INDEX tags_by_tag ON tags (tag, closed, born);

-- `started` is the id of the event; numbers begin anew when a person asks for another try.
CREATE TABLE attempts (
  run TEXT PRIMARY KEY, task TEXT NOT NULL, started TEXT NOT NULL, lane TEXT NOT NULL, agent TEXT NOT NULL, at TEXT NOT NULL, doc TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX attempts_by_task ON attempts (task, started);
CREATE INDEX attempts_by_time ON attempts (at);
CREATE INDEX attempts_by_lane ON attempts (lane, at);
CREATE INDEX attempts_by_agent ON attempts (agent, at);
-- What each gate found in each round, by the event that tells of it; `doc` is the result.
CREATE TABLE gate_results (
  event TEXT NOT NULL, gate TEXT NOT NULL, status TEXT NOT NULL, run TEXT NOT NULL, task TEXT, doc TEXT NOT NULL, PRIMARY KEY (event, gate)
) WITHOUT ROWID;
CREATE INDEX gate_results_by_gate ON gate_results (gate, event);
CREATE INDEX gate_results_by_status ON gate_results (status, event) WHERE status <> 'passed';
CREATE INDEX gate_results_by_run ON gate_results (run, event);
CREATE INDEX gate_results_by_task ON gate_results (task, event) WHERE task IS NOT NULL;
CREATE TABLE agents (name TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
-- When an agent was last heard of, which is in no journal.
CREATE TABLE heartbeats (name TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
-- When each lane last gave out a task, which is in no journal: it says whose turn it is.
CREATE TABLE turns (lane TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
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
    "id", "doc", "title", "status", "bucket", "own", "level", "lane", "pin", "since", "nudge", "grp", "category", "feature", "agent", "parent",
    "born", "last", "updated", "demand", "not_before", "deadline", "risk", "lease_ends", "closed", "outcome", "blockers",
)  # fmt: skip
PUT_TASK = f"INSERT INTO tasks ({', '.join(TASK_COLUMNS)}) VALUES ({', '.join('?' * len(TASK_COLUMNS))})"
REPLACE_TASK = PUT_TASK.replace("INSERT", "INSERT OR REPLACE", 1)
TASK_ROW = f"SELECT {', '.join(TASK_COLUMNS)} FROM tasks WHERE id = ?"
PUT_EVENT = "INSERT OR IGNORE INTO events (key, id, type, replica, segment, offset) VALUES (?, ?, ?, ?, ?, ?)"
PUT_POSITION = "INSERT OR REPLACE INTO positions (replica, segment, offset, seal) VALUES (?, ?, ?, ?)"
PUT_ATTEMPT = "INSERT OR REPLACE INTO attempts (run, task, started, lane, agent, at, doc) VALUES (?, ?, ?, ?, ?, ?, ?)"
END_ATTEMPT = "UPDATE attempts SET doc = ? WHERE run = ?"
PUT_GATE_RESULT = "INSERT OR REPLACE INTO gate_results (event, gate, status, run, task, doc) VALUES (?, ?, ?, ?, ?, ?)"
PUT_AGENT = "INSERT INTO agents (name, doc) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET doc = ?2"
PUT_FEATURE = "INSERT OR REPLACE INTO features (id, doc) VALUES (?, ?)"
PUT_META = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"
PUT_DEPENDENCY = "INSERT OR REPLACE INTO dependencies (task, needs, kind) VALUES (?, ?, ?)"
PUT_TAG = "INSERT OR REPLACE INTO tags (task, tag, closed, born) VALUES (?, ?, ?, ?)"
DROP_DEPENDENCY = "DELETE FROM dependencies WHERE task = ? AND needs = ?"
DROP_TAG = "DELETE FROM tags WHERE task = ? AND tag = ?"
DROP_ATTEMPTS = "DELETE FROM attempts WHERE task = ?"
DROP_AGENT = "DELETE FROM agents WHERE name = ?"
DROP_BEAT = "DELETE FROM heartbeats WHERE name = ?"
BEAT = "INSERT OR REPLACE INTO heartbeats (name, at) VALUES (?, ?)"
PUT_TURN = "INSERT OR REPLACE INTO turns (lane, at) VALUES (?, ?)"

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
OVERRIDES = "SELECT count(*) FROM events INDEXED BY events_past_gates WHERE type = 'task.overridden'"
FOLDS_SINCE = (
    "SELECT e.replica, e.segment, e.offset, e.id FROM tasks t CROSS JOIN events e ON e.key = t.id AND e.type = 'task.folded' "
    "WHERE t.updated >= ?"
)
LAST_EVENT_ID = "SELECT id FROM events ORDER BY id DESC LIMIT 1"
POSITIONS = "SELECT replica, segment, offset, seal FROM positions"
SWITCHES = "SELECT name, value FROM meta WHERE name >= ? AND name < ? AND value IS NOT NULL"
META = "SELECT value FROM meta WHERE name = ?"
COUNTS = "SELECT bucket, n FROM counts WHERE n > 0"
AGENT = "SELECT doc FROM agents WHERE name = ?"
AGENTS = "SELECT doc FROM agents ORDER BY name"
HEARTBEATS = "SELECT name, at FROM heartbeats"
TURNS = "SELECT lane, at FROM turns"
FEATURE = "SELECT doc FROM features WHERE id = ?"
FEATURES = "SELECT doc FROM features ORDER BY id"
FEATURE_STATUSES = "SELECT feature, status FROM tasks INDEXED BY tasks_by_feature WHERE feature IS NOT NULL"
TASK_OF_RUN = "SELECT task FROM attempts WHERE run = ?"
ATTEMPT = "SELECT doc FROM attempts WHERE run = ? AND task = ?"
ATTEMPTS_OF = "SELECT doc FROM attempts WHERE task = ? ORDER BY started"
USAGES_SINCE = "SELECT json_extract(doc, '$.usage') FROM attempts INDEXED BY attempts_by_time WHERE at >= ? AND json_extract(doc, '$.usage') IS NOT NULL"
AGENT_OF_FEATURE = "SELECT agent FROM tasks INDEXED BY tasks_by_feature WHERE feature = ? AND agent IS NOT NULL ORDER BY closed DESC, born DESC LIMIT 1"
LATEST_ATTEMPT = "SELECT doc FROM attempts WHERE task = ? ORDER BY started DESC LIMIT 1"

#: Whether a pair `d` with the other task `t` keeps the first one waiting.
_HOLDS = (
    "CASE d.kind WHEN 'success' THEN t.outcome IS NOT 'met' WHEN 'failure' THEN t.outcome IS NOT 'failed' "
    "WHEN 'always' THEN ifnull(t.outcome, 'idle') NOT IN ('met', 'failed', 'dropped') ELSE t.outcome IS 'going' END"
)
#: Open dependencies of a task.
BLOCKERS = (
    "SELECT d.needs, ifnull(t.title, 'not here yet'), ifnull(t.status, 'created'), d.kind FROM dependencies d "
    f"LEFT JOIN tasks t ON t.id = d.needs WHERE d.task = ? AND {_HOLDS} ORDER BY t.born"
)
COUNT_BLOCKERS = (
    f"SELECT count(*) FROM dependencies d LEFT JOIN tasks t ON t.id = d.needs WHERE d.task = ? AND {_HOLDS}"
)
NEEDS = "SELECT needs FROM dependencies WHERE task = ?"
NEEDS_WITH_KINDS = "SELECT needs, kind FROM dependencies WHERE task = ?"
TAGS = "SELECT tag, closed, born FROM tags WHERE task = ?"
DEPENDENTS = "SELECT task FROM dependencies WHERE needs = ?"
HAS_DEPENDENTS = "SELECT 1 FROM dependencies WHERE needs = ? LIMIT 1"
WAITING_ON = (
    "SELECT t.id, t.title, t.status, t.blockers, d.kind FROM dependencies d CROSS JOIN tasks t ON t.id = d.task "
    "WHERE d.needs = ? AND t.closed = 0 ORDER BY t.born"
)
_COUNTED = (
    f"(SELECT count(*) FROM dependencies d LEFT JOIN tasks t ON t.id = d.needs WHERE d.task = tasks.id AND {_HOLDS})"
)
_DEPENDENTS = "id IN (SELECT task FROM dependencies WHERE needs = ?)"
_BUCKET = "CASE WHEN blockers > 0 THEN 'waiting' WHEN not_before IS NOT NULL THEN 'delayed' ELSE 'ready' END"
_OUTCOME = "CASE bucket WHEN 'ready' THEN 'going' ELSE 'idle' END"
RECOUNT = f"UPDATE tasks SET blockers = {_COUNTED} WHERE {_DEPENDENTS}"
REBUCKET = f"UPDATE tasks SET bucket = {_BUCKET} WHERE +status = 'queued' AND bucket <> 'family' AND {_DEPENDENTS}"
#: Dependents that others wait for softly, and that mean something else to them now.
TURNED = (
    f"SELECT id FROM tasks WHERE +status = 'queued' AND {_DEPENDENTS} AND outcome <> {_OUTCOME} "
    "AND EXISTS (SELECT 1 FROM dependencies s WHERE s.needs = tasks.id AND s.kind = 'soft')"
)
REJUDGE = f"UPDATE tasks SET outcome = {_OUTCOME} WHERE +status = 'queued' AND {_DEPENDENTS} AND outcome <> {_OUTCOME}"
RECOUNT_ALL = f"UPDATE tasks SET blockers = {_COUNTED} WHERE id IN (SELECT task FROM dependencies)"
REBUCKET_ALL = f"UPDATE tasks SET bucket = {_BUCKET} WHERE +status = 'queued' AND bucket <> 'family' AND id IN (SELECT task FROM dependencies)"
REJUDGE_ALL = (
    f"UPDATE tasks SET outcome = {_OUTCOME} WHERE +status = 'queued' AND id IN (SELECT task FROM dependencies)"
)
SOFT_PAIRS = "SELECT count(*) FROM dependencies INDEXED BY dependencies_soft WHERE kind = 'soft'"
COUNT_ALL = "INSERT INTO counts SELECT bucket, count(*) FROM tasks GROUP BY bucket"
DUE = "SELECT id FROM tasks INDEXED BY tasks_delayed WHERE bucket = 'delayed' AND not_before <= ?"
PROMOTE = "UPDATE tasks SET bucket = 'ready', outcome = 'going' WHERE id = ?"

#: What a task inherits: the most urgent of those open that wait for it.
INHERITED = (
    "SELECT own, level, closed, (SELECT min(w.level) FROM dependencies d JOIN tasks w ON w.id = d.task "
    "WHERE d.needs = tasks.id AND d.kind IN ('success', 'always') AND w.closed = 0) FROM tasks WHERE id = ?"
)
SET_LEVEL = "UPDATE tasks SET level = ? WHERE id = ?"
PAIRS_ALL = "SELECT d.task, d.needs FROM dependencies d JOIN tasks w ON w.id = d.task WHERE w.closed = 0 AND d.kind IN ('success', 'always')"
LEVELS_ALL = "SELECT id, own FROM tasks WHERE closed = 0 AND id IN (SELECT task FROM dependencies UNION SELECT needs FROM dependencies)"

PUT_FORWARD = (
    "INSERT OR REPLACE INTO forward (task, needs, born, waiting) SELECT w.id, t.id, t.born, w.born FROM tasks w JOIN tasks t "
    "WHERE w.id = ? AND t.id = ? AND t.born > w.born"
)
DROP_FORWARD = "DELETE FROM forward WHERE task = ? AND needs = ?"
FORGET_FORWARD = "DELETE FROM forward WHERE task = ? OR needs = ?"
FORWARD_ALL = (
    "INSERT OR REPLACE INTO forward (task, needs, born, waiting) SELECT w.id, t.id, t.born, w.born FROM dependencies d "
    "JOIN tasks w ON w.id = d.task JOIN tasks t ON t.id = d.needs WHERE t.born > w.born"
)
FORWARD_SPAN = "SELECT (SELECT min(waiting) FROM forward), (SELECT max(born) FROM forward)"
BORN = "SELECT born FROM tasks WHERE id = ?"

USAGE = "SELECT grp, value, at FROM usage WHERE lane = ?"
USAGE_OF = "SELECT value, at FROM usage WHERE lane = ? AND grp = ?"
PUT_USAGE = "INSERT OR REPLACE INTO usage (lane, grp, value, at) VALUES (?, ?, ?, ?)"
PUT_STALE = "INSERT OR IGNORE INTO stale (task) VALUES (?)"
TAIL = (
    "SELECT doc, closed, tail, (SELECT max(w.tail) FROM dependencies d JOIN tasks w ON w.id = d.task WHERE d.needs = tasks.id AND w.closed = 0) "
    "FROM tasks WHERE id = ?"
)
STALE = "SELECT task FROM stale"
DROP_STALE = "DELETE FROM stale"

#: The next lane with ready tasks behind a name; walking the lanes costs a step each, however many tasks there are.
NEXT_LANE = "SELECT min(lane) FROM tasks INDEXED BY tasks_ready WHERE bucket = 'ready' AND lane > ?"
#: All of them in one statement, since there may be hundreds.
_NEXT_GROUP = "SELECT min(grp) FROM tasks INDEXED BY tasks_ready_by_group WHERE bucket = 'ready' AND grp IS NOT NULL AND lane = ?1 AND grp > "
GROUPS = f"WITH RECURSIVE named (grp) AS ({_NEXT_GROUP} '' UNION ALL SELECT ({_NEXT_GROUP} named.grp) FROM named WHERE grp IS NOT NULL) SELECT grp FROM named WHERE grp IS NOT NULL"
#: Without tasks of some demands, a JSON array given twice: one that has no nature in front is for those of all (domain/matching.py).
LEFT_OUT = (
    "AND demand NOT IN (SELECT value FROM json_each(?)) AND substr(demand, 4) NOT IN (SELECT value FROM json_each(?))"
)
_READY = "SELECT id, since FROM tasks INDEXED BY tasks_ready WHERE bucket = 'ready' AND lane = ? AND "
READY_OF_LEVEL = _READY + f"pin = 0 AND level = ? {LEFT_OUT} ORDER BY since, nudge, born"
READY_OF_LEVEL_DOWN = _READY + f"pin = 0 AND level = ? {LEFT_OUT} ORDER BY since DESC, nudge DESC, born DESC"
READY_FIRST = _READY + f"pin < 0 {LEFT_OUT} ORDER BY pin, level, since, nudge, born"
READY_LAST = _READY + f"pin > 0 {LEFT_OUT} ORDER BY pin, level, since, nudge, born"
READY_OF_GROUP = (
    "SELECT id, since FROM tasks INDEXED BY tasks_ready_by_group "
    f"WHERE bucket = 'ready' AND grp IS NOT NULL AND lane = ? AND grp = ? AND +pin = 0 AND level = ? {LEFT_OUT} ORDER BY since, nudge, born"
)
READY_BY_TAIL = (
    "SELECT id FROM tasks INDEXED BY tasks_ready_by_tail WHERE bucket = 'ready' AND tail IS NOT NULL AND lane = ? AND +pin = 0 "
    f"{LEFT_OUT} ORDER BY tail DESC, level, since, nudge, born"
)
_AT_RISK = "FROM tasks INDEXED BY tasks_ready_by_risk WHERE bucket = 'ready' AND deadline IS NOT NULL AND lane = ? AND +pin = 0 AND risk <= ?"
#: Whether there are more than so many at risk. Few are sorted; many are met soon on the way along all deadlines.
MANY_AT_RISK = f"SELECT 1 {_AT_RISK} LIMIT 1 OFFSET ?"
FEW_READY_AT_RISK = f"SELECT id {_AT_RISK} {LEFT_OUT} ORDER BY deadline, born"
READY_AT_RISK = (
    "SELECT id FROM tasks INDEXED BY tasks_ready_by_deadline WHERE bucket = 'ready' AND deadline IS NOT NULL AND lane = ? AND +pin = 0 "
    f"AND risk <= ? {LEFT_OUT} ORDER BY deadline, born"
)
ENDS_OF_LANE = "SELECT min(pin), max(pin) FROM tasks INDEXED BY tasks_ready WHERE bucket = 'ready' AND lane = ?"
#: The place of a task; of those that have waited as long, the nudge next to its own, and who has the same and was born earlier.
PLACE = "SELECT lane, pin, level, since, nudge, bucket FROM tasks WHERE id = ?"
_AS_LONG = "FROM tasks INDEXED BY tasks_ready WHERE bucket = 'ready' AND lane = ? AND pin = ? AND level = ? AND since = ? AND nudge"
BEFORE = f"SELECT max(nudge) {_AS_LONG} < ?"
BEHIND = f"SELECT min(nudge) {_AS_LONG} > ?"
EQUALS_BEFORE = f"SELECT id {_AS_LONG} = ? AND born < ? ORDER BY born"
EQUALS_BEHIND = f"SELECT id {_AS_LONG} = ? AND born > ? ORDER BY born"
STARVING = "SELECT count(*) FROM tasks INDEXED BY tasks_ready WHERE bucket = 'ready' AND lane = ? AND pin = 0 AND level = ? AND since < ?"
OLDEST_READY = (
    "SELECT min(since) FROM tasks INDEXED BY tasks_ready WHERE bucket = 'ready' AND lane = ? AND pin = 0 AND level = ?"
)
STARTS = "SELECT at FROM attempts INDEXED BY attempts_by_time ORDER BY at DESC LIMIT ?"
STARTS_OF_LANE = "SELECT at FROM attempts INDEXED BY attempts_by_lane WHERE lane = ? ORDER BY at DESC LIMIT ?"
STARTS_OF_AGENT = "SELECT at FROM attempts INDEXED BY attempts_by_agent WHERE agent = ? ORDER BY at DESC LIMIT ?"
ATTEMPTS_OF_AGENT = "SELECT doc FROM attempts INDEXED BY attempts_by_agent WHERE agent = ? ORDER BY at DESC LIMIT ?"
LAST_ATTEMPTS = (
    "SELECT a.doc, t.category, json_extract(t.doc, '$.complexity'), json_extract(t.doc, '$.queued_at') FROM attempts a INDEXED BY attempts_by_time "
    "CROSS JOIN tasks t ON t.id = a.task ORDER BY a.at DESC LIMIT ?"
)
CHILDREN = "SELECT id, title, status FROM tasks INDEXED BY tasks_in_families WHERE parent = ? ORDER BY born"
RECURRING = "SELECT id FROM tasks INDEXED BY tasks_recurring WHERE bucket = 'recurring' AND not_before <= ?"
NEXT_RECURRENCE = "SELECT min(not_before) FROM tasks INDEXED BY tasks_recurring WHERE bucket = 'recurring'"
NEXT_DUE = "SELECT min(not_before) FROM tasks INDEXED BY tasks_delayed WHERE bucket = 'delayed'"
#: Changed by a clock that was ahead of what it is now.
CHANGED_AHEAD = "SELECT id FROM tasks INDEXED BY tasks_by_update WHERE updated > ? AND bucket = 'delayed'"
EXPIRED = "SELECT id FROM tasks INDEXED BY tasks_leased WHERE lease_ends <= ? ORDER BY lease_ends"
NEXT_EXPIRY = "SELECT min(lease_ends) FROM tasks INDEXED BY tasks_leased WHERE lease_ends IS NOT NULL"
OF_STATUS = "SELECT doc FROM tasks INDEXED BY tasks_by_status WHERE status = ? ORDER BY closed, born"
RUNNING = "SELECT id, lane, agent, demand FROM tasks INDEXED BY tasks_by_status WHERE status IN ('assigned', 'in_progress', 'validating')"
LOAD = (
    "SELECT agent, count(*) FROM tasks INDEXED BY tasks_by_status "
    "WHERE status IN ('assigned', 'in_progress', 'validating') AND agent IS NOT NULL GROUP BY agent"
)
#: Tasks that wait for one that failed or was given up: nothing will move them but a person.
STUCK = (
    "SELECT count(DISTINCT w.id) FROM tasks t INDEXED BY tasks_by_status JOIN dependencies d ON d.needs = t.id "
    "JOIN tasks w ON w.id = d.task AND w.bucket = 'waiting' WHERE t.status IN ('failed', 'cancelled')"
)
