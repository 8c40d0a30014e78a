"""How the embedded journal lies in its SQLite file.

    runs         a row a run: its plan, its code, its status, and where it stands
    batches      a row a batch: events, cursor, commands, and the checksum that continues the batch before
    checkpoints  a row a kept checkpoint

Events and commands are blobs of the records themselves, so writing is a copy and reading is a view. What grows stands last in a row.
"""

APPLICATION_ID = 0x6F626A6C  # "objl"
FORMAT = 1

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, plan TEXT NOT NULL, created_ns INTEGER NOT NULL, checksum BLOB NOT NULL,
    source TEXT NOT NULL, version TEXT NOT NULL, layout TEXT NOT NULL, status TEXT NOT NULL,
    recoveries INTEGER NOT NULL DEFAULT 0, mark BLOB NOT NULL
) STRICT;
CREATE TABLE batches (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, first_seq INTEGER NOT NULL, event_count INTEGER NOT NULL,
    first_command INTEGER NOT NULL, command_count INTEGER NOT NULL, cursor BLOB NOT NULL, checksum BLOB NOT NULL,
    commands BLOB NOT NULL, events BLOB NOT NULL, UNIQUE (run, first_seq)
) STRICT;
CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, seq INTEGER NOT NULL, commands INTEGER NOT NULL,
    source TEXT NOT NULL, checksum BLOB NOT NULL, state BLOB NOT NULL, UNIQUE (run, seq)
) STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
COMMIT;
"""
SELECT_RUNS = "SELECT id, plan, created_ns, checksum, source, version, layout, status, recoveries, mark FROM runs"
SELECT_FIRST_LINES = "SELECT number, created_ns, plan FROM runs WHERE +id = ?"  # the plus leaves the index out of it
#: Seq and number of commands at the end of the batch of a run (?) that ends at an event (?) or holds it, and its checksum.
SELECT_ENDS = """
SELECT first_seq + event_count - 1, first_command + command_count, checksum
FROM batches WHERE run = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1
"""
SELECT_LAST = "SELECT first_seq FROM batches WHERE run = ? ORDER BY first_seq DESC LIMIT 1"
SELECT_CHECKPOINT = "SELECT commands, source, checksum, state FROM checkpoints WHERE run = ? AND seq = ?"
SET_MARK = "UPDATE runs SET mark = ? WHERE id = ?"
#: The batches of a run (?) after an event (?).
SELECT_BATCHES = """
SELECT first_seq, event_count, first_command, command_count, cursor, checksum, commands, events
FROM batches WHERE run = ? AND first_seq > ? ORDER BY first_seq
"""


#: What a row of it has to be made of; a damaged file may say otherwise.
BATCH_TYPES = (int, int, int, int, bytes, bytes, bytes, bytes)
INSERT_RUN = """
INSERT INTO runs (id, plan, created_ns, checksum, source, version, layout, status, mark) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_BATCH = """
INSERT INTO batches (run, first_seq, event_count, first_command, command_count, cursor, checksum, commands, events)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_CHECKPOINT = "INSERT OR REPLACE INTO checkpoints (run, seq, commands, source, checksum, state) VALUES (?, ?, ?, ?, ?, ?)"
#: All but the newest (?) checkpoints of a run (?, ?).
DELETE_CHECKPOINTS = """
DELETE FROM checkpoints WHERE run = ? AND seq NOT IN (SELECT seq FROM checkpoints WHERE run = ? ORDER BY seq DESC LIMIT ?)
"""
