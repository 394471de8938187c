"""What the API tells of a program that does not start, and what a function may ask for."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.conftest import Site
from tests.sandbox.conftest import Try, ended, started

pytestmark = pytest.mark.each_engine


async def outcome(
    site: Site, http: httpx.AsyncClient, *command: str, **fields: object
) -> dict[str, Any]:
    """How an execution ends whose program is this one."""
    folder = site.root / "fns" / "joe" / "start"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content, mode in (
        ("unexecutable", "#!/bin/sh\n", 0o600),
        ("wrong", "#!/no/such/interpreter\n", 0o700),
        ("right", "#!/bin/sh\necho right\n", 0o700),
        ("nothing", "", 0o700),
    ):
        (folder / name).write_text(content)
        (folder / name).chmod(mode)
    site.function("start", command=list(command), **fields)
    return await ended(http, await started(http, "start"))


@pytest.mark.parametrize("program", ["/no/such", "no-such-program", "./no", "./unexecutable", "."])
async def test_a_program_that_is_not_there_is_told_as_an_error_of_the_system(
    site: Site, http: httpx.AsyncClient, program: str
) -> None:
    told = await outcome(site, http, program)
    assert told["end_reason"] == "system-error"
    assert told["exit_code"] is None
    assert "cannot be launched" in told["log"]
    assert program in told["log"]


async def test_a_program_that_only_the_machine_has_is_not_there(
    site: Site, http: httpx.AsyncClient
) -> None:
    """A path that exists outside is no path in the sandbox."""
    outside = site.root / "outside"
    outside.write_text("#!/bin/sh\n")
    outside.chmod(0o755)
    told = await outcome(site, http, str(outside))
    assert told["end_reason"] == "system-error"
    assert str(outside) in told["log"]


async def test_a_missing_interpreter_is_told_in_the_log(
    site: Site, http: httpx.AsyncClient
) -> None:
    """The program is there; it is the shell that says why it does not run."""
    told = await outcome(site, http, "./wrong")
    assert (told["end_reason"], told["exit_code"]) == ("normal", 127)
    assert "wrong" in told["log"]
    assert "not found" in told["log"]


async def test_a_program_of_the_functions_own(site: Site, http: httpx.AsyncClient) -> None:
    told = await outcome(site, http, "./right")
    assert (told["exit_code"], told["log"]) == (0, "right\n")


async def test_regression_callers_are_told_no_path_of_this_machine(
    site: Site, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Notes named the state folder and the paths that a function may read; errors the root."""
    told = await outcome(site, http, "true", sandbox={"read_only": ["/nowhere/at/all"]})
    assert told["end_reason"] == "system-error"
    assert "sandbox could not be set up" in told["log"]
    assert "/nowhere" not in told["log"]
    assert "/nowhere" in caplog.text  # it is in the server's own
    told = await outcome(site, http, "true", output=[{"id": "a", "path": "x" * 300}])
    assert "File name too long" in told["log"]
    assert str(site.root) not in told["log"]
    (site.root / "fns" / "joe" / "start" / "function.json").write_text("{")
    answer = await http.get("/joe/start")
    assert answer.json()["errorMessage"].startswith("function.json: it is not JSON")


# ── Settings ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def solver() -> Iterator[Path]:
    """A program with its folder, somewhere on this machine."""
    folder = Path(tempfile.mkdtemp(prefix="pf-solver-", dir="/var/tmp"))
    folder.chmod(0o777)
    (folder / "solve").write_text("#!/bin/sh\necho solved\n")
    (folder / "solve").chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_a_function_has_the_paths_that_it_asks_for_read_only(
    site: Site, http: httpx.AsyncClient, attempts: Try, solver: Path
) -> None:
    sandbox = {"read_only": [str(solver)]}
    told = await outcome(site, http, str(solver / "solve"), sandbox=sandbox)
    assert (told["exit_code"], told["log"]) == (0, "solved\n")
    paths = {"write": [f"{solver}/solve"], "make": [str(solver)], "list": [str(solver.parent)]}
    seen = await attempts("files.py", paths, sandbox=sandbox)
    assert seen.escaped in ([], [f"list {solver.parent}"])
    assert seen.attempts[f"make {solver}"] == "EROFS"


async def test_a_function_has_the_variables_that_it_asks_for(attempts: Try) -> None:
    seen = await attempts("surroundings.py", sandbox={"environment": {"SEED": "a b", "PATH": "/x"}})
    assert seen.facts["environment"]["SEED"] == "a b"
    assert seen.facts["environment"]["PATH"] == "/x"


async def test_a_program_without_a_terminal_prints_to_a_pipe_and_with_one_to_it(
    site: Site, http: httpx.AsyncClient
) -> None:
    script = ["sh", "-c", "if [ -t 1 ]; then echo terminal; else echo pipe; fi"]
    assert (await outcome(site, http, *script))["log"] == "pipe\n"
    told = await outcome(site, http, *script, sandbox={"terminal": True})
    assert told["log"] == "terminal\n"


async def test_a_copy_for_a_run_keeps_no_setuid_bit(site: Site, http: httpx.AsyncClient) -> None:
    folder = site.root / "fns" / "joe" / "start"
    folder.mkdir(parents=True)
    (folder / "tool").write_text("")
    (folder / "tool").chmod(0o6755)
    await outcome(site, http, "./right")
    (copy,) = site.state.rglob("work/tool")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o755
