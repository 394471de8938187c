"""The endpoints of API keys, and who may ask at all."""

from __future__ import annotations

import math

from starlette.requests import Request
from starlette.responses import Response

from pifopfs.server import answers
from pifopfs.server.callers import Caller
from pifopfs.server.executions import Executions
from pifopfs.server.gate import Gate, admit
from pifopfs.server.keys import NAME, KeyLimits, Keys
from pifopfs.server.refusals import MasterKeyNeeded, NotOffered, Refusal

NAMES = ("key_name", "name")
MEMORY, TIME = ("max_memory",), ("max_time",)
EXECUTIONS = ("max_executions", "max_parallel_jobs")
"""The parameters: first the documented name, then that of the clients."""
MOST = 1e12
"""Of any limit: more is a slip of the pen."""


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
            raise Refusal("key_name must be 1 to 64 letters, digits, dots, hyphens and underscores")
        executions = _limit(request, EXECUTIONS)
        if executions is not None and not executions.is_integer():
            raise Refusal("max_executions must be a whole number")
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
        caller, function = admitted(request, self._gate, self._executions)
        if not caller.is_master:
            raise MasterKeyNeeded("API keys are managed with the function's master key")
        if self._gate.keys is None:
            raise NotOffered("this server has no API keys: only its own user can reach its socket")
        self._executions.function(*function)
        return self._gate.keys, function


def _given(request: Request, names: tuple[str, ...]) -> str:
    """The value of the first of these parameters that is there, or nothing."""
    return next((request.query_params[name] for name in names if name in request.query_params), "")


def _limit(request: Request, names: tuple[str, ...]) -> float | None:
    text = _given(request, names)
    if not text:
        return None
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value < MOST:
        raise Refusal(f"{names[0]} must be a number above 0, or be left out")
    return value
