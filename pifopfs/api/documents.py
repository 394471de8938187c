"""Answers of the execution that was asked for: something on the way may mix them up.

All raise MalformedDocument.
"""

from __future__ import annotations

from pifopfs import wire
from pifopfs.wire import ExecutionId


def execution(asked: ExecutionId, document: object) -> wire.Execution:
    """The Execution object of the id."""
    seen = wire.Execution.from_json(document)
    _check(asked, seen)
    return seen


def log(asked: ExecutionId, document: object) -> wire.LogPiece:
    """The same with its log."""
    piece = wire.LogPiece.from_json(document)
    _check(asked, piece.execution)
    return piece


def _check(asked: ExecutionId, seen: wire.Execution) -> None:
    if seen.id != asked:
        raise wire.MalformedDocument(f"it is of {seen.id}")
