"""The endpoints of API keys, and who may ask at all."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from pifopfs.server import answers
from pifopfs.server.callers import Caller
from pifopfs.server.executions import Executions
from pifopfs.server.gate import Gate, admit
from pifopfs.server.keys import NAME, KeyLimits, Keys
from pifopfs.server.limits import MOST
from pifopfs.server.refusals import MasterKeyNeeded, NotOffered, Refusal, Unknown

NAMES = ("key_name", "name")
MEMORY, TIME = ("max_memory",), ("max_time",)
EXECUTIONS = ("max_executions", "max_parallel_jobs")
"""The parameters: first the documented name, then that of the clients."""
NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def admitted(
    request: Request, gate: Gate, executions: Executions
) -> tuple[Caller, tuple[str, str]]:
    """Who asks, and about which function. Raises KeyNeeded, Unknown."""
    name = request.path_params["author"], request.path_params["function"]
    return admit(gate, executions.exists, request.headers.get("Authorization"), name), name


class KeyApi:
    """The handlers."""

    def __init__(self, executions: Executions, gate: Gate) -> None:
        self._executions = executions
        self._gate = gate

    async def create(self, request: Request) -> Response:
        keys, function = self._keys(request)
        name = _given(request, NAMES)
        if not NAME.fullmatch(name) or name in (".", ".."):
            raise Refusal(
                "key_name must be 1 to 64 letters, digits, dots, hyphens and underscores, and "
                "neither . nor .."
            )
        executions = _limit(request, EXECUTIONS, whole=True)
        limits = KeyLimits(
            _limit(request, MEMORY),
            _limit(request, TIME),
            None if executions is None else int(executions),
        )
        key, text = keys.create(*function, name, limits)
        return answers.success({**answers.key_document(key), "key": text})

    async def delete(self, request: Request) -> Response:
        keys, function = self._keys(request)
        deleted = keys.delete(*function, request.path_params["name"])
        return answers.success(answers.key_document(deleted))

    def _keys(self, request: Request) -> tuple[Keys, tuple[str, str]]:
        """Raises KeyNeeded, Unknown, MasterKeyNeeded, NotOffered."""
        caller, (author, function) = admitted(request, self._gate, self._executions)
        if not caller.is_master:
            raise MasterKeyNeeded("API keys are managed with the function's master key")
        if self._gate.keys is None:
            raise NotOffered("this server has no API keys: only its own user can reach its socket")
        if not self._executions.exists(author, function):  # one that cannot run now has keys, too
            raise Unknown(f"there is no function {author}/{function}")
        return self._gate.keys, (author, function)


def _given(request: Request, names: tuple[str, ...]) -> str:
    """The value of the first of these parameters that is there, or nothing."""
    return next((request.query_params[name] for name in names if name in request.query_params), "")


def _limit(request: Request, names: tuple[str, ...], *, whole: bool = False) -> float | None:
    """The first of these limits that is there, None for no limit. None of them may be wrong."""
    given = [request.query_params[name] for name in names if name in request.query_params]
    values = [_number(text, names[0], whole=whole) for text in given]
    return values[0] if values else None


def _number(text: str, name: str, *, whole: bool) -> float | None:
    """None for nothing. Raises Refusal."""
    if not text:
        return None
    value = float(text) if NUMBER.fullmatch(text) else 0.0
    if not 0 < value < MOST or (whole and not value.is_integer()):
        kind = "a whole number" if whole else "a number"
        raise Refusal(f"{name} must be {kind} above 0 and below {MOST:g}, or be left out")
    return value
