"""What is recorded of an execution and of an input."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pifopfs.wire import ExecutionId


class StoredDocument(Mapping[str, Any]):
    """A document as it is recorded, read when somebody looks into it: there may be many."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __getitem__(self, key: str) -> Any:
        return json.loads(self._text)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads(self._text))

    def __len__(self) -> int:
        return len(json.loads(self._text))

    def items(self) -> ItemsView[str, Any]:
        """All of it, read once."""
        return dict(json.loads(self._text)).items()


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """One execution. Times are nanoseconds of this machine's clock, None where not yet seen."""

    serial: int
    id: ExecutionId
    name: str
    created_ns: int
    started_ns: int | None
    ended_ns: int | None
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input. `mode`, `uid` and `gid` are what chmod and chown have set, or None."""

    name: str
    number: int
    state: str
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
