"""Payloads in the sandbox of a real server, started and read over HTTP.

A payload is a program in `payloads`, which tries what it must not do. It prints a line for each
attempt, BLOCKED or ESCAPED, or what it sees.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.contract.conftest import Site, eventually
from tests.engines import Engine
from tests.sandbox.outside import (  # noqa: F401  # fixtures
    listeners,
    open_folder,
    outsider,
    session_key,
    shared_memory,
)

PAYLOADS = Path(__file__).parent / "payloads"
PYTHON = shutil.which("python3", path="/usr/bin:/bin")
"""The system's: no other is in the sandbox."""
NAMESPACES = ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/"]


@dataclass
class Seen:
    """What a payload has printed."""

    attempts: dict[str, str] = field(default_factory=dict)
    """Each attempt, and the errno that blocked it; "ESCAPED" where none did."""
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, log: str) -> Seen:
        seen = cls()
        for line in log.splitlines():
            kind, name, *why = line.split("\t")
            if kind == "FACTS":
                seen.facts = json.loads(name)
            else:
                seen.attempts[name] = why[0] if kind == "BLOCKED" else kind
        return seen

    @property
    def escaped(self) -> list[str]:
        return [name for name, how in self.attempts.items() if how == "ESCAPED"]


RunProgram = Callable[..., Awaitable[str]]
Try = Callable[..., Awaitable[Seen]]


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips where this machine has nothing that a sandbox could be made of."""
    if PYTHON is None:
        pytest.skip("there is no python3 in /usr/bin")
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, timeout=20)
    if tried.returncode != 0:
        pytest.skip(f"bubblewrap does not work here: {tried.stderr.strip()}")


@pytest.fixture
def isolation() -> str:
    """Of the server; a module of tests can have another one."""
    return "bubblewrap"


@pytest.fixture
async def site(
    namespaces: None,
    root: Path,
    nursery: trio.Nursery,
    engine: Engine,
    isolation: str,
) -> AsyncIterator[Site]:
    """A server with its sandbox."""
    site = Site(root, nursery, engine, isolation)
    await site.up()
    yield site
    await site.down()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """Its API."""
    async with site.http() as client:
        yield client


async def ended(http: httpx.AsyncClient, execution: str, deadline: float = 60) -> dict[str, Any]:
    """The Execution object with its log, when the run has ended."""

    async def over() -> bool:
        return bool((await http.get(execution)).json()["status"] == "ended")

    await eventually(over, deadline)
    return dict((await http.get(execution)).json())


async def started(http: httpx.AsyncClient, function: str) -> str:
    """A new execution of joe's function, started; its path."""
    answer = await http.post(f"/joe/{function}/executions")
    assert answer.status_code == 200, answer.text
    execution = f"/joe/{function}/executions/{answer.json()['id']}"
    answer = await http.post(f"{execution}/start")
    assert answer.status_code == 200, answer.text
    return execution


@pytest.fixture
def run_program(site: Site, http: httpx.AsyncClient) -> RunProgram:
    """Run a payload: `run_program("files.py", targets, **fields of function.json)`; its log."""
    numbers = count()

    async def run(payload: str, targets: object = None, **fields: object) -> str:
        name = f"payload{next(numbers)}"
        command = [PYTHON, payload, json.dumps(targets)]
        folder = site.function(name, command=command, input=[], output=[], **fields)
        for program in ("attempts.py", payload):
            shutil.copy(PAYLOADS / program, folder)
        execution = await ended(http, await started(http, name))
        assert execution["end_reason"] == "normal", execution
        assert execution["exit_code"] == 0, execution["log"]
        return str(execution["log"])

    return run


@pytest.fixture
def attempts(run_program: RunProgram) -> Try:
    """As `run_program`; what the payload has seen."""

    async def run(payload: str, targets: object = None, **fields: object) -> Seen:
        return Seen.of(await run_program(payload, targets, **fields))

    return run
