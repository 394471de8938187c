"""The JSON documents of the PIFOP Functions REST API, as frozen values.

Here: the shapes, read leniently (unknown fields are kept, absent ones are None) and written as
the API documents them. Not here: requests, states and transitions. Fields marked *ours* are
additions of the local server; other servers leave them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType, TypeVar

ExecutionId = NewType("ExecutionId", str)
"""The id of an execution, `exec_` and alphanumerics, chosen by the server."""

T = TypeVar("T")


class MalformedDocument(ValueError):
    """A document lacks what the API promises. The message names the field."""


class Status(StrEnum):
    """The states of an execution, in the API's words."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why an execution ended. Clients accept values that are not listed here."""

    NORMAL = "normal"
    OUT_OF_MEMORY = "out-of-memory"
    TIMEOUT = "timeout"
    SYSTEM_ERROR = "system-error"
    """*Ours*: the run was cut off, lost its machine or could not be launched."""


@dataclass(frozen=True, slots=True)
class FileSpec:
    """An input or output of a function: its id, and the path its program knows it by."""

    id: str
    path: str | None = None
    size: int | None = None
    """*Ours*: bytes of an output that was produced."""

    @classmethod
    def from_json(cls, document: object) -> FileSpec:
        fields = _object(document, "an input or output")
        size = _count(fields, "size")
        return cls(_require(fields, "id", str), _optional(fields, "path", str), size)

    def to_json(self) -> dict[str, Any]:
        sized = {} if self.size is None else {"size": self.size}
        return {"id": self.id, "path": self.path, **sized}


@dataclass(frozen=True, slots=True)
class Function:
    """The Function object. `input` and `output` are None where the server does not tell them."""

    id: str
    author: str
    input: tuple[FileSpec, ...] | None
    output: tuple[FileSpec, ...] | None
    document: Mapping[str, Any] = field(repr=False)
    """The document as received."""
    max_executions: int | None = None
    """*Ours*: how many executions the key that asked may run at once; None where not told."""

    @classmethod
    def from_json(cls, document: object) -> Function:
        """Raises MalformedDocument."""
        fields = _object(document, "the function")
        told = fields.get("max_executions")
        return cls(
            id=_require(fields, "id", str),
            author=_require(fields, "author", str),
            input=_specs(fields, "input"),
            output=_specs(fields, "output"),
            document=fields,
            max_executions=told if isinstance(told, int) and told > 0 else None,
        )


@dataclass(frozen=True, slots=True)
class Execution:
    """The Execution object, without its log."""

    id: ExecutionId
    status: Status
    end_reason: str | None
    output: tuple[FileSpec, ...] | None
    """What was really produced, once ended; None where not told."""
    exit_code: int | None
    """*Ours.*"""
    stopped: bool | None
    """*Ours*: it ended because somebody asked for it."""
    queue_position: int | None
    """*Ours*: how many runs of this server wait before it; None where it does not wait."""
    document: Mapping[str, Any] = field(repr=False)
    """The document as received, without `log`, `log_offset`, `stdout` and `waited`."""
    waited: bool = field(default=False, compare=False)
    """*Ours*: the server has let the request wait for the end, as it was asked to."""

    @classmethod
    def from_json(cls, document: object) -> Execution:
        """Raises MalformedDocument."""
        fields = _object(document, "the execution")
        left_out = {"log", "log_offset", "stdout", "waited"}
        return cls(
            id=ExecutionId(_require(fields, "id", str)),
            status=_status(fields),
            end_reason=_optional(fields, "end_reason", str),
            output=_specs(fields, "output"),
            exit_code=_optional(fields, "exit_code", int),
            stopped=_optional(fields, "stopped", bool),
            queue_position=_count(fields, "queue_position"),
            document={name: value for name, value in fields.items() if name not in left_out},
            waited=fields.get("waited") is True,
        )


@dataclass(frozen=True, slots=True)
class LogPiece:
    """An execution and its log from byte `offset` of its UTF-8 form on.

    `offset` is 0 for the whole log: always, where the server does not support `log_offset`.
    """

    execution: Execution
    offset: int
    content: bytes = field(repr=False)
    in_pieces: bool = False
    """*Ours*: the server supports `log_offset`, and may leave out the end of a long log."""

    @classmethod
    def from_json(cls, document: object) -> LogPiece:
        """Raises MalformedDocument."""
        fields = _object(document, "the execution")
        told = _optional(fields, "log_offset", int)
        offset = told or 0
        if offset < 0:
            raise MalformedDocument(f"log_offset is negative: {offset}")
        content = _require(fields, "log", str).encode("utf-8", "replace")
        return cls(Execution.from_json(fields), offset, content, in_pieces=told is not None)


@dataclass(frozen=True, slots=True)
class InputInfo:
    """What the service says of an uploaded input. Its fields are None where not told."""

    id: str | None
    path: str | None
    size: int | None

    @classmethod
    def from_json(cls, document: object) -> InputInfo:
        """Raises MalformedDocument."""
        fields = _object(document, "the input info")
        return cls(
            id=_optional(fields, "id", str),
            path=_optional(fields, "path", str),
            size=_optional(fields, "size", int),
        )

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "path": self.path, "size": self.size}


@dataclass(frozen=True, slots=True)
class ApiKeyInfo:
    """An API key of a function. Limits are None where there is none, or where not told."""

    name: str | None
    key: str | None = field(repr=False)
    max_memory: float | None
    """Megabytes."""
    max_time: float | None
    """Minutes."""
    max_executions: int | None

    @classmethod
    def from_json(cls, document: object) -> ApiKeyInfo:
        """Raises MalformedDocument."""
        fields = _object(document, "the API key")
        return cls(
            name=_optional(fields, "name", str),
            key=_optional(fields, "key", str),
            max_memory=_number(fields, "max_memory"),
            max_time=_number(fields, "max_time"),
            max_executions=_optional(fields, "max_executions", int),
        )


def _object(document: object, what: str) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise MalformedDocument(f"{what} is not a JSON object")
    return document


def _require(fields: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = _optional(fields, name, kind)
    if value is None:
        raise MalformedDocument(f"{name} is missing")
    return value


def _optional(fields: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise MalformedDocument(f"{name} is not of type {kind.__name__}")
    return value


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    """Of an addition of ours: where it makes no sense it is not told."""
    value = fields.get(name)
    told = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if told else None


def _status(fields: Mapping[str, Any]) -> Status:
    word = _require(fields, "status", str)
    try:
        return Status(word)
    except ValueError:
        raise MalformedDocument(f"unknown status {word!r}") from None


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedDocument(f"{name} is not a number")
    return float(value)


def _specs(fields: Mapping[str, Any], name: str) -> tuple[FileSpec, ...] | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise MalformedDocument(f"{name} is not a list")
    return tuple(FileSpec.from_json(item) for item in value)
