"""How the embedded journal lies in its SQLite file.

    runs         a row a run: its plan, its code, its status
    marks        a row a run: where it stands
    batches      a row a batch: events, cursor, commands, and the checksum that continues the batch before
    checkpoints  a row a kept checkpoint

Events and commands are blobs of the records themselves, so writing is a copy and reading is a view. A batch of one event changes two pages:
the end of `batches`, which needs no index because its key is the place of the batch, and the page of `marks`.
"""

APPLICATION_ID = 0x6F626A6C  # "objl"
FORMAT = 1
#: Bits of a batch's place that are its first seq: 17 million million events in a run, half a million runs.
SEQ_BITS = 44

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, plan TEXT NOT NULL, created_ns INTEGER NOT NULL, checksum BLOB NOT NULL,
    source TEXT NOT NULL, version TEXT NOT NULL, layout TEXT NOT NULL, status TEXT NOT NULL,
    recoveries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE marks (run INTEGER PRIMARY KEY REFERENCES runs, mark BLOB NOT NULL) STRICT;
CREATE TABLE batches (
    place INTEGER PRIMARY KEY, -- run and first seq in one number
    run INTEGER AS (place >> {SEQ_BITS}) VIRTUAL, first_seq INTEGER AS (place & {(1 << SEQ_BITS) - 1}) VIRTUAL,
    event_count INTEGER NOT NULL, first_command INTEGER NOT NULL, command_count INTEGER NOT NULL, cursor BLOB NOT NULL,
    checksum BLOB NOT NULL, commands BLOB NOT NULL, events BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, seq INTEGER NOT NULL, commands INTEGER NOT NULL,
    source TEXT NOT NULL, checksum BLOB NOT NULL, state BLOB NOT NULL, UNIQUE (run, seq)
) STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
COMMIT;
"""
SELECT_RUNS = """
SELECT id, plan, created_ns, checksum, source, version, layout, status, recoveries, mark
FROM runs LEFT JOIN marks ON marks.run = runs.number ORDER BY number
"""
SELECT_FIRST_LINES = "SELECT number, created_ns, plan FROM runs WHERE +id = ?"  # the plus leaves the index out of it
#: The first seq, the seq and the number of commands at its end, and the checksum of the last batch in places from ? to ?.
SELECT_LAST = """
SELECT first_seq, first_seq + event_count - 1, first_command + command_count, checksum
FROM batches WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1
"""
SELECT_CHECKPOINT = "SELECT commands, source, checksum, state FROM checkpoints WHERE run = ? AND seq = ?"
SET_MARK = "INSERT OR REPLACE INTO marks (run, mark) VALUES (?, ?)"
#: The batches in places from ? to ?.
SELECT_BATCHES = """
SELECT first_seq, event_count, first_command, command_count, cursor, checksum, commands, events
FROM batches WHERE place BETWEEN ? AND ? ORDER BY place
"""
INSERT_RUN = """
INSERT INTO runs (id, plan, created_ns, checksum, source, version, layout, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_BATCH = """
INSERT INTO batches (place, event_count, first_command, command_count, cursor, checksum, commands, events)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_CHECKPOINT = "INSERT OR REPLACE INTO checkpoints (run, seq, commands, source, checksum, state) VALUES (?, ?, ?, ?, ?, ?)"
#: All but the newest (?) checkpoints of a run (?, ?).
DELETE_CHECKPOINTS = """
DELETE FROM checkpoints WHERE run = ? AND seq NOT IN (SELECT seq FROM checkpoints WHERE run = ? ORDER BY seq DESC LIMIT ?)
"""


def places(run: int, first_seq: int, last_seq: int = (1 << SEQ_BITS) - 1) -> tuple[int, int]:
    """The places of a run's batches whose first seq is in a range, both ends included; `run` is its number."""
    return (run << SEQ_BITS) | first_seq, (run << SEQ_BITS) | last_seq
