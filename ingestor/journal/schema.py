"""The journal's tables, their version, and the migration from earlier versions."""

import sqlite3

APPLICATION_ID = 0x696E6773
"""Marks a SQLite file as a journal ("ings" in PRAGMA application_id)."""

VERSION = 10
"""The version of the tables below."""

OLDEST = 7
"""The oldest version that this program reads. It upgrades it before it writes."""

_FORGOTTEN_REJECT = """
    CREATE TABLE forgotten_reject (         -- rejected records that are not reported again, see forgotten.py
        batch INTEGER NOT NULL REFERENCES batch,
        digest BLOB NOT NULL,               -- see policy/identity.py
        hash INTEGER,                       -- of its job's key, see jobs.py; NULL: it has no readable job_id
        PRIMARY KEY (batch, digest)
    ) WITHOUT ROWID;
"""
_SERVER_ADDRESS = """
    CREATE TABLE server_address (           -- further addresses of a batch's tracking server, see batches.py
        batch INTEGER NOT NULL REFERENCES batch,
        address TEXT NOT NULL,
        PRIMARY KEY (batch, address)
    ) WITHOUT ROWID;
"""
_EXECUTION = """
    CREATE TABLE execution (                -- one row each time the journal is opened to write
        id INTEGER PRIMARY KEY,
        batch INTEGER NOT NULL REFERENCES batch,
        started_at REAL,                    -- NULL: neither `run` nor `resume`
        ended_at REAL,
        exit_code INTEGER,
        counts TEXT,                        -- JSON object: outcome -> records
        already_done INTEGER,
        remaining INTEGER
        {memory}
    );
"""
_DESCRIPTION = "description TEXT"  # JSON: `model.history.Description`; NULL: an earlier version wrote none
_PROGRESS = "progress TEXT"  # JSON: `model.history.Progress`; as above
_MEMORY = """
    CREATE TABLE history (                  -- points of speed, see memory.py
        batch INTEGER NOT NULL REFERENCES batch,
        step INTEGER NOT NULL,              -- seconds; what follows is `model.history.Point`
        start INTEGER NOT NULL,
        seconds REAL NOT NULL,
        accepted INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        errors INTEGER NOT NULL,
        allowed REAL,
        latency_p50 REAL,
        latency_p95 REAL,
        backlog INTEGER NOT NULL,
        paused REAL NOT NULL,
        PRIMARY KEY (batch, step, start)
    ) WITHOUT ROWID;
    CREATE TABLE pause (                    -- when nothing was sent
        batch INTEGER NOT NULL REFERENCES batch,
        began_at REAL NOT NULL,
        ended_at REAL NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (batch, began_at)
    ) WITHOUT ROWID;
    CREATE TABLE rejects (                  -- the records that are rejected, summed up
        batch INTEGER PRIMARY KEY REFERENCES batch,
        summary TEXT NOT NULL               -- JSON: `model.history.Rejects`
    );
    CREATE TABLE pruned (                   -- the rows of `job` that are deleted, see prune.py
        batch INTEGER NOT NULL REFERENCES batch,
        state TEXT NOT NULL,
        count INTEGER NOT NULL,
        up_to REAL NOT NULL,                -- all of them ended before this time
        PRIMARY KEY (batch, state)
    ) WITHOUT ROWID;
"""
_SOURCE = """
    CREATE TABLE source (                   -- the checkpoints, see executions.py
        id INTEGER PRIMARY KEY,             -- grows: the order of reading
        batch INTEGER NOT NULL REFERENCES batch,
        path BLOB NOT NULL,                 -- empty: no other process can read the same source
        name TEXT NOT NULL,
        position TEXT,                      -- NULL: the beginning
        rejected INTEGER NOT NULL DEFAULT 0,
        ended TEXT,                         -- a SourceEnd; NULL: not read to its end, or not all of it has an outcome
        execution INTEGER NOT NULL REFERENCES execution
        {forgotten}
    );
    CREATE UNIQUE INDEX source_identity ON source (batch, path, iif(path = x'', name, ''));
"""
_FORGOTTEN = "forgotten INTEGER NOT NULL DEFAULT 0"  # of the rejected records, how many the user gave up since
_KEPT_RECORD = """
    CREATE TABLE kept_record (              -- texts of jobs that have no complete run, see unfinished.py
        job INTEGER PRIMARY KEY REFERENCES job,
        text BLOB NOT NULL
    );
"""

_TABLES = f"""
    CREATE TABLE batch (
        id INTEGER PRIMARY KEY,
        platform TEXT NOT NULL,
        workspace TEXT NOT NULL,
        name TEXT NOT NULL,
        rehearsal INTEGER,                  -- whether its runs go to this machine; NULL: not known
        acknowledged INTEGER NOT NULL DEFAULT 0,        -- up to this number the outbox is confirmed
        UNIQUE (platform, workspace, name)
    );
    CREATE TABLE job (
        id INTEGER PRIMARY KEY,             -- grows: the order of admission
        batch INTEGER NOT NULL REFERENCES batch,
        key TEXT NOT NULL,
        digest BLOB NOT NULL,
        token TEXT NOT NULL,
        generation INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL,
        stamped INTEGER NOT NULL,
        first_sent_at REAL NOT NULL,        -- begins the token's life
        source TEXT NOT NULL,
        line INTEGER NOT NULL,
        experiment_id TEXT,
        run_id TEXT,
        http_status INTEGER,                -- this and what follows: of the last attempt
        error_code TEXT,
        error_message TEXT,
        opc_request_id TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        updated_at REAL NOT NULL,
        execution INTEGER,                  -- the last one that wrote the state; NULL: one of version 7
        has_steps INTEGER NOT NULL DEFAULT 0,           -- whether requests follow create
        former_state TEXT                   -- before the user gave it up; NULL: the state is not 'forgotten'
    );
    CREATE INDEX job_not_created ON job (batch, state) WHERE state <> 'created';
    CREATE INDEX job_batch ON job (batch);
    CREATE TABLE key_index (                -- see jobs.py
        hash INTEGER NOT NULL,
        job INTEGER NOT NULL,               -- may have been released since
        PRIMARY KEY (hash, job)
    ) WITHOUT ROWID;
    CREATE TABLE key_index_mark (last INTEGER NOT NULL);        -- one row: up to which job `key_index` goes
    INSERT INTO key_index_mark VALUES (0);
    CREATE TABLE outbox (                   -- see unfinished.py
        batch INTEGER NOT NULL REFERENCES batch,
        number INTEGER NOT NULL,            -- without gaps in a batch
        job INTEGER NOT NULL REFERENCES job,
        attempts INTEGER NOT NULL,          -- this and what follows: what the log has and `job` does not keep
        latency_ms REAL,
        opc_client_request_id TEXT,
        PRIMARY KEY (batch, number)
    ) WITHOUT ROWID;
    CREATE TABLE clock (                    -- one row: the last time that was recorded, see policy.expiry
        id INTEGER PRIMARY KEY CHECK (id = 1),
        time REAL NOT NULL,
        wall REAL NOT NULL,
        trusted_since REAL NOT NULL
    );
    {_EXECUTION.format(memory=f", {_DESCRIPTION}, {_PROGRESS}")} {_SOURCE.format(forgotten=f", {_FORGOTTEN}")}
    {_KEPT_RECORD} {_FORGOTTEN_REJECT} {_SERVER_ADDRESS} {_MEMORY}
"""  # noqa: S608 - constants

_SOURCES_OF_7 = """
    WITH known AS (
        SELECT *, pass IN (SELECT id FROM pass WHERE exit_code IN (0, 3)) AND (batch, source) NOT IN (
            SELECT batch, source FROM job WHERE state <> 'created' AND (
                state IN ('pending', 'unresolved') OR (state = 'failed' AND error_code = 'NotCreated')
            )
        ) AS is_done FROM input
    )
    SELECT id, batch, path, source AS name, NULL AS position, 0 AS rejected,
        CASE WHEN is_done AND NOT EXISTS (
            SELECT 1 FROM known AS other
            WHERE other.batch = known.batch AND other.path = known.path AND known.path <> x'' AND NOT other.is_done
        ) THEN 'complete' END AS ended, pass AS execution
    FROM known WHERE path = x'' OR id IN (SELECT max(id) FROM input GROUP BY batch, path)
"""  # version 7 had a row for each name of a path, and named a batch's input again while a job of it was to be read
_EXECUTIONS_OF_7 = """
    SELECT id, batch, started_at, ended_at, exit_code, counts, iif(ended_at IS NULL, NULL, 0) AS already_done, remaining
    FROM pass
"""

_FROM_7 = f"""
    ALTER TABLE batch ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE job ADD COLUMN execution INTEGER;
    ALTER TABLE job ADD COLUMN has_steps INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE known RENAME TO key_index;
    ALTER TABLE indexed RENAME TO key_index_mark;
    ALTER TABLE untold RENAME TO outbox;
    ALTER TABLE moment RENAME TO clock;
    ALTER TABLE clock RENAME COLUMN sure_since TO trusted_since;
    {_EXECUTION.format(memory="")} {_SOURCE.format(forgotten="")} {_KEPT_RECORD}
    INSERT INTO execution {_EXECUTIONS_OF_7};
    INSERT INTO source {_SOURCES_OF_7};
    DROP TABLE input;
    DROP TABLE pass;
"""
_FROM_8 = f"""
    ALTER TABLE job ADD COLUMN former_state TEXT;
    ALTER TABLE source ADD COLUMN {_FORGOTTEN};
    {_FORGOTTEN_REJECT} {_SERVER_ADDRESS}
"""
_REJECTS_OF_9 = """
    SELECT batch, json_object('total', count, 'others', count, 'other_sources', count) AS summary
    FROM (
        SELECT batch, json_extract(counts, '$.rejected') AS count FROM execution
        WHERE id IN (SELECT max(id) FROM execution WHERE started_at IS NOT NULL GROUP BY batch)
    )
    WHERE count > 0
"""  # the earlier versions kept the number alone
_FROM_9 = f"""
    ALTER TABLE execution ADD COLUMN {_DESCRIPTION};
    ALTER TABLE execution ADD COLUMN {_PROGRESS};
    {_MEMORY}
    INSERT INTO rejects {_REJECTS_OF_9};
"""

_NOTHING_DESCRIBED = "NULL AS description, NULL AS progress"
_MEMORY_VIEWS = f"""
    CREATE TEMP VIEW history AS SELECT 0 AS batch, 0 AS step, 0 AS start, 0.0 AS seconds, 0 AS accepted, 0 AS refused,
        0 AS errors, NULL AS allowed, NULL AS latency_p50, NULL AS latency_p95, 0 AS backlog, 0.0 AS paused
        WHERE false;
    CREATE TEMP VIEW pause AS SELECT 0 AS batch, 0.0 AS began_at, 0.0 AS ended_at, '' AS reason WHERE false;
    CREATE TEMP VIEW rejects AS {_REJECTS_OF_9};
    CREATE TEMP VIEW pruned AS SELECT 0 AS batch, '' AS state, 0 AS count, 0.0 AS up_to WHERE false;
"""
_VIEWS = f"""
    CREATE TEMP VIEW forgotten_reject AS SELECT 0 AS batch, x'' AS digest WHERE false;
    CREATE TEMP VIEW server_address AS SELECT 0 AS batch, '' AS address WHERE false;
    {_MEMORY_VIEWS}
"""
_VIEWS_OF_7 = f"""
    CREATE TEMP VIEW clock AS SELECT time, wall, sure_since AS trusted_since FROM moment;
    CREATE TEMP VIEW execution AS SELECT *, {_NOTHING_DESCRIBED} FROM ({_EXECUTIONS_OF_7});
    CREATE TEMP VIEW source AS SELECT *, 0 AS forgotten FROM ({_SOURCES_OF_7});
    CREATE TEMP VIEW job AS SELECT *, NULL AS execution, NULL AS former_state FROM main.job;
    CREATE TEMP VIEW kept_record AS SELECT 0 AS job, x'' AS text WHERE false;
    CREATE TEMP VIEW key_index AS SELECT hash, job FROM known;
    CREATE TEMP VIEW key_index_mark AS SELECT last FROM indexed;
    {_VIEWS}
"""  # noqa: S608 - constants
_VIEWS_OF_9 = f"""
    CREATE TEMP VIEW execution AS SELECT *, {_NOTHING_DESCRIBED} FROM main.execution;
"""  # noqa: S608 - a constant
_VIEWS_OF_8 = f"""
    CREATE TEMP VIEW source AS SELECT *, 0 AS forgotten FROM main.source;
    CREATE TEMP VIEW job AS SELECT *, NULL AS former_state FROM main.job;
    {_VIEWS_OF_9} {_VIEWS}
"""  # noqa: S608 - constants

_MIGRATIONS = {7: _FROM_7 + _FROM_8 + _FROM_9, 8: _FROM_8 + _FROM_9, 9: _FROM_9}
_SHOWN_AS_CURRENT = {7: _VIEWS_OF_7, 8: _VIEWS_OF_8, 9: _VIEWS_OF_9 + _MEMORY_VIEWS}


def application(connection: sqlite3.Connection) -> int:
    """Return the application id of this file."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def version(connection: sqlite3.Connection) -> int:
    """Return the version of this file's tables."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def create(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file, in one transaction. Raises sqlite3.Error."""
    _execute(connection, _TABLES)


def migrate(connection: sqlite3.Connection) -> None:
    """Upgrade a file of an earlier version, in one transaction. After sqlite3.Error the file is unchanged."""
    if (script := _MIGRATIONS.get(version(connection))) is not None:
        _execute(connection, script)


def show_as_current(connection: sqlite3.Connection) -> None:
    """Show a file of an earlier version to its reader with the tables of this one; change nothing on disk."""
    if (script := _SHOWN_AS_CURRENT.get(version(connection))) is not None:
        connection.executescript(script)


def _execute(connection: sqlite3.Connection, script: str) -> None:
    connection.executescript(
        f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; {script} PRAGMA user_version = {VERSION}; COMMIT;"
    )
