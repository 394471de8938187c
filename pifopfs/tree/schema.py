"""The tables of a mount's record: see `names`."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE executions (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: inode numbers rest on it
    id TEXT NOT NULL UNIQUE,
    name BLOB NOT NULL UNIQUE,
    created_ns INTEGER NOT NULL,
    started_ns INTEGER,
    ended_ns INTEGER,
    document TEXT NOT NULL
) STRICT;
CREATE TABLE inputs (
    serial INTEGER NOT NULL REFERENCES executions ON DELETE CASCADE,
    name BLOB NOT NULL,
    number INTEGER NOT NULL,                   -- of its staged file, whatever its name is now
    state TEXT NOT NULL,
    mode INTEGER,
    uid INTEGER,
    gid INTEGER,
    PRIMARY KEY (serial, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE uploaded (                        -- names of which the service may have some version
    serial INTEGER NOT NULL REFERENCES executions ON DELETE CASCADE,
    name BLOB NOT NULL,
    PRIMARY KEY (serial, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE boot (id TEXT NOT NULL) STRICT;   -- of the machine when this was last opened
PRAGMA user_version = 2;
"""
VERSION = 2
