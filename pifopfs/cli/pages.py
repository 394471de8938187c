"""What `ps` shows, as a table and as documents."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pifopfs.cli.mounted import UserMount, all_mounts, named_mount
from pifopfs.cli.tables import NOTHING, duration, moment, size
from pifopfs.cli.texts import shown
from pifopfs.mount.asking import ask_for_list
from pifopfs.run.times import rfc3339

MOUNT_TITLES = (
    "PID", "STATE", "SINCE", "RUNNING", "PENDING", "ENDED", "GONE", "FUNCTION", "MOUNTPOINT",
)  # fmt: skip
EXECUTION_TITLES = (
    "STATE", "REASON", "EXIT", "AGE", "TIME", "INPUTS", "OUTPUTS", "ID", "NAME",
)  # fmt: skip
STATES = ("running", "pending", "ended", "gone")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One look."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    documents: Sequence[Document]
    total: int
    """Of rows that there are, where not all are shown."""


def page_of_mounts() -> Page:
    """The mounts of this user."""
    found = all_mounts()
    rows, documents = [*map(_mount_row, found)], [*map(_mount_document, found)]
    return Page(MOUNT_TITLES, rows, documents, len(found))


def _mount_row(mount: UserMount) -> list[str]:
    record, counts = mount.record, _counts(mount)
    numbers = [NOTHING if counts is None else str(counts.get(state, 0)) for state in STATES]
    return [
        str(record.pid) if mount.alive else NOTHING,
        mount.state,
        moment(record.since),
        *numbers,
        _word(record.function),
        shown(record.mountpoint),
    ]


def _mount_document(mount: UserMount) -> Document:
    record = mount.record
    return {
        "mountpoint": record.mountpoint,
        "function": record.function,
        "folder": record.folder,
        "state": mount.state,
        "pid": record.pid if mount.alive else None,
        "since": rfc3339(record.since),
        "executions": _counts(mount),
        "log_file": record.log_file,
    }


def _counts(mount: UserMount) -> dict[str, int] | None:
    return None if mount.known is None else mount.known.counts


def page_of_executions(target: str, most: int | None) -> Page:
    """The executions of a mount, so many at most. Raises MountpointInvalid."""
    known = ask_for_list(Path(named_mount(target).mountpoint), most)
    now = time.time()
    rows = [_execution_row(each, now) for each in known.executions]
    documents = [_execution_document(each) for each in known.executions]
    return Page(EXECUTION_TITLES, rows, documents, sum(known.counts.values()))


def _execution_row(each: Document, now: float) -> list[str]:
    created, started, ended = (_seconds(each, name) for name in ("created", "started", "ended"))
    running = None if started is None else (ended or now) - started
    if each.get("state") == "gone" and ended is None:
        running = None
    exit_code = each.get("exit_code")
    return [
        _word(str(each.get("state"))),
        _word(each.get("end_reason") or ""),
        "" if exit_code is None else str(exit_code),
        duration(None if created is None else now - created),
        duration(running),
        _sizes(each.get("inputs")),
        _sizes(each.get("outputs")),
        _word(str(each.get("id"))),
        shown(str(each.get("name"))),
    ]


def _execution_document(each: Document) -> Document:
    times = {name: rfc3339(_seconds(each, name)) for name in ("created", "started", "ended")}
    return {name: value for name, value in each.items() if not name.endswith("_ns")} | times


def _seconds(each: Document, name: str) -> float | None:
    """Since 1970."""
    told = each.get(f"{name}_ns")
    return None if told is None else float(told) / 1e9


def _sizes(files: Sequence[Document] | None) -> str:
    """How much all of them have; nothing where one is not known."""
    sizes = [file.get("size") for file in files or ()]
    if not sizes:
        return NOTHING
    known = [each for each in sizes if each is not None]
    return size(sum(known)) if len(known) == len(sizes) else "?"


def _word(text: str) -> str:
    """For a column that is not the last: without blanks."""
    return shown(text).replace(" ", "\\x20")
