"""The journal's tables, their version, and how an older file is brought up to date."""

import sqlite3
from enum import StrEnum

from ingestor.journal.index import hash_of


class State(StrEnum):
    """Where a job stands in the journal. Apart from PENDING, the names are those of its outcome."""

    PENDING = "pending"
    """Its intent is durable, and no process has learnt the result."""
    CREATED = "created"
    FAILED = "failed"
    UNRESOLVED = "unresolved"


APPLICATION_ID = 0x696E6773
"""Marks a SQLite file as a journal ("ings" in PRAGMA application_id)."""

MIGRATIONS = (
    """
    CREATE TABLE batch (
        id INTEGER PRIMARY KEY,
        platform TEXT NOT NULL,
        workspace TEXT NOT NULL,
        name TEXT NOT NULL,
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
        updated_at REAL NOT NULL
    );
    CREATE UNIQUE INDEX job_key ON job (batch, key);
    CREATE INDEX job_not_created ON job (batch, state) WHERE state <> 'created';
    CREATE TABLE pass (                     -- one row for each `ingestor run`
        id INTEGER PRIMARY KEY,
        batch INTEGER NOT NULL REFERENCES batch,
        started_at REAL NOT NULL,
        ended_at REAL,
        exit_code INTEGER,
        counts TEXT,                        -- JSON object: outcome -> records
        remaining INTEGER
    );
    """,
    """
    CREATE TABLE untold (                   -- outcomes that may not be in the log yet, in the order they came
        batch INTEGER NOT NULL REFERENCES batch,
        number INTEGER NOT NULL,            -- without gaps in a batch
        job INTEGER NOT NULL REFERENCES job,
        attempts INTEGER NOT NULL,          -- this and what follows: what the log tells and `job` does not keep
        latency_ms REAL,
        opc_client_request_id TEXT,
        PRIMARY KEY (batch, number)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE batch ADD COLUMN rehearsal INTEGER;     -- whether its runs go to this machine; NULL: nobody knows
    """,
    """
    CREATE TABLE moment (                   -- one row: the last moment witnessed, see policy.expiry
        id INTEGER PRIMARY KEY CHECK (id = 1),
        time REAL NOT NULL,
        wall REAL NOT NULL,
        trusted_since REAL NOT NULL
    );
    INSERT INTO moment SELECT 1, latest, latest, 0.0 FROM (SELECT max(updated_at) AS latest FROM job)
    WHERE latest IS NOT NULL;
    """,
    """
    DROP INDEX job_key;
    CREATE INDEX job_batch ON job (batch);
    CREATE TABLE known (                    -- see index.py
        hash INTEGER NOT NULL,
        job INTEGER NOT NULL,               -- may have been released since
        PRIMARY KEY (hash, job)
    ) WITHOUT ROWID;
    INSERT INTO known SELECT hash_of(batch, key), id FROM job ORDER BY 1, 2;
    CREATE TABLE indexed (last INTEGER NOT NULL);       -- one row: up to which job `known` goes
    INSERT INTO indexed SELECT coalesce(max(id), 0) FROM job;
    """,
    """
    ALTER TABLE pass ADD COLUMN files TEXT;             -- JSON array: the files it was to read; NULL: nobody knows
    """,
    r"""
    CREATE TABLE input (                    -- see inputs.py
        id INTEGER PRIMARY KEY,             -- grows: the order of reading
        batch INTEGER NOT NULL REFERENCES batch,
        path BLOB NOT NULL,                 -- empty where no other process can read the same; of version 6, the name
        source TEXT NOT NULL,
        pass INTEGER NOT NULL REFERENCES pass,          -- the last that was to read it
        UNIQUE (batch, path, source)
    );
    INSERT OR IGNORE INTO input (batch, path, source, pass)
    SELECT pass.batch, CAST(file.value AS BLOB), file.value, pass.id FROM pass, json_each(pass.files) AS file
    WHERE pass.id IN (SELECT max(id) FROM pass GROUP BY batch) AND json_type(pass.files) = 'array'
        AND instr(pass.files, '\udc') = 0   -- a byte that is no UTF-8, which SQLite can't put back
    ORDER BY pass.id, file.key;
    UPDATE pass SET files = NULL;
    """,
)
"""Step n brings a file from version n to n + 1. A step that was ever released is never changed."""

VERSION = len(MIGRATIONS)


def application(connection: sqlite3.Connection) -> int:
    """Return the mark of the program that made this file."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def version(connection: sqlite3.Connection) -> int:
    """Return the version of this file's tables."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Bring the tables up to a version, each step in a transaction of its own. Raises sqlite3.Error."""
    connection.create_function("hash_of", 2, hash_of, deterministic=True)
    for number, step in enumerate(MIGRATIONS[version(connection) : to], start=version(connection) + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; {step} PRAGMA user_version = {number}; COMMIT;"
        )
