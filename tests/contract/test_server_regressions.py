"""What once went wrong on the server, seen over HTTP: nothing a client, a program or a full disk
does ends the server, keeps it from ending, or makes it say what is not so.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from pifopfs.server import http as server_http
from pifopfs.server import routes, runs
from pifopfs.server.database import Database
from pifopfs.server.http import unix_door
from tests.contract.conftest import Site, eventually
from tests.contract.test_http import FN, create, open_outputs, run, start
from tests.engines import LOCAL


def until_there(path: Path) -> str:
    """Shell that waits for a file."""
    return f"while ! [ -e {path} ]; do sleep 0.02; done"


# ── A full disk ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.each_engine
@pytest.mark.unconfined
async def test_a_run_that_ends_on_a_full_disk_is_told_and_recorded_later(
    site: Site, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure escaped into the server, which died with everything that ran on it."""

    def refuse(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    site.function("waits", f"echo up; {until_there(site.root / 'go')}; echo 42 > r.txt")
    first, second, pending = [await create(http, "/joe/waits") for _ in range(3)]
    for execution in (first, second):
        await begin_run(http, execution)
    with monkeypatch.context() as full:
        full.setattr(Database, "insist", refuse)
        full.setattr(Database, "write", refuse)
        (site.root / "go").touch()
        await ended(http, first)
        await ended(http, second)
        seen = (await http.get(first)).json()
        assert (seen["end_reason"], seen["exit_code"]) == ("normal", 0)
        assert (await http.get(f"{first}/output/r")).content == b"42\n"
        assert (await http.post(f"{pending}/start")).status_code == 507
        assert (await http.get(pending)).json()["status"] == "pending"
        assert (await http.post(f"{FN}/executions")).status_code == 507
        assert (await http.delete(second)).status_code == 200
        assert (await http.get(second)).status_code == 404
        assert len(list((site.state / "executions").iterdir())) == 2
    await site.down()
    await site.up()
    assert (await http.get(first)).json() == seen
    assert (await http.get(second)).status_code == 404


async def begin_run(http: httpx.AsyncClient, execution: str) -> None:
    """Start it, and return when its program has printed something."""
    await http.post(f"{execution}/start")

    async def up() -> bool:
        return bool((await http.get(execution)).json()["log"])

    await eventually(up)


async def ended(http: httpx.AsyncClient, execution: str) -> None:
    async def over() -> bool:
        return bool((await http.get(execution)).json()["status"] == "ended")

    await eventually(over)


@pytest.mark.each_engine
async def test_too_many_open_files_at_the_end_of_a_run_lose_no_outputs(
    site: Site, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))] * 2

    def failing(*args: object) -> object:
        if failures:
            raise failures.pop()
        return produced(*args)  # type: ignore[arg-type]

    produced = runs.produced
    monkeypatch.setattr(runs, "produced", failing)
    monkeypatch.setattr(runs, "LOOK_PAUSE", 0.01)
    (output,) = (await http.get(await run(http))).json()["output"]
    assert output["id"] == "r"
    assert not failures


# ── Readers ───────────────────────────────────────────────────────────────────────────────────


async def output_of(site: Site, http: httpx.AsyncClient, size: str) -> str:
    """The address of an output of this size, which takes no room."""
    site.function("big", f"truncate -s {size} r.txt")
    return f"{await run(http, '/joe/big')}/output/r"


async def begin(site: Site, address: str) -> trio.SocketStream:
    """A download of which only the beginning is read."""
    stream = await trio.open_unix_socket(str(site.socket))
    await stream.send_all(f"GET {address} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert await stream.receive_some(1000)
    return stream


async def test_an_abandoned_download_is_not_read_to_its_end(
    site: Site, http: httpx.AsyncClient
) -> None:
    address = await output_of(site, http, "1T")
    for _ in range(3):
        await (await begin(site, address)).aclose()

    async def closed() -> bool:
        return not open_outputs()

    await eventually(closed)


async def test_a_reader_that_has_stopped_does_not_keep_the_server_from_ending(
    site: Site, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_http, "GRACE", 0.2)
    stream = await begin(site, await output_of(site, http, "1T"))
    await site.down()
    assert open_outputs() == []
    await stream.aclose()
    await site.up()


@pytest.mark.parametrize("path", ["", "/output/r"])
async def test_a_connection_that_is_idle_after_a_long_answer_is_closed_at_the_end(
    site: Site, http: httpx.AsyncClient, path: str
) -> None:
    """The end of the answer cut off what came after it: the connection was never seen to be idle,
    and a server that ended waited for it as long as for a request.
    """
    end, socket = trio.Event(), site.root / "other.sock"
    address = await run(http) + path
    async with trio.open_nursery() as nursery:
        door = unix_door(site.app, socket)
        await nursery.start(partial(server_http.listen, [door], end.wait, grace=60))
        async with await trio.open_unix_socket(str(socket)) as stream:
            await stream.send_all(f"GET {address} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = b""
            while not answer.endswith((b"}", b"42")):
                answer += await stream.receive_some(10_000)
            end.set()
            with trio.fail_after(10):
                assert await stream.receive_some(10_000) == b""


async def test_readers_that_go_are_not_worth_a_warning(
    site: Site, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    address = await output_of(site, http, "1T")
    for _ in range(20):
        await (await begin(site, address)).aclose()
    await site.down()
    await site.up()
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_an_output_that_is_cut_while_it_is_sent_is_one_line_in_the_log(
    site: Site, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    address = await output_of(site, http, "100M")
    (path,) = (site.state / "executions").glob("*/work/r.txt")
    stream = await begin(site, address)
    os.truncate(path, 1000)
    got = 0
    with trio.fail_after(10):
        while piece := await stream.receive_some(1 << 20):
            got += len(piece)
    await stream.aclose()
    assert got < 100 << 20
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.exc_info is None
    assert "shorter" in record.getMessage()


# ── Logs ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.each_engine
@pytest.mark.unconfined
async def test_stdout_tells_nothing_twice_when_the_run_ends(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.function("talk", f"echo one; {until_there(site.root / 'go')}; echo two")
    execution, told = await create(http, "/joe/talk"), ""
    await http.post(f"{execution}/start")

    async def heard() -> bool:
        nonlocal told
        told += (await http.get(execution, params={"stdout": "true"})).json()["stdout"]
        return told.endswith("one\n")

    await eventually(heard)
    (site.root / "go").touch()
    await ended(http, execution)
    await heard()
    assert told == "one\ntwo\n"


@pytest.mark.each_engine
async def test_a_long_log_comes_in_pieces_to_those_who_ask_from_an_offset_on(
    site: Site, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "LONGEST_PIECE", 100_000)
    site.function("talk", "yes 'grün und blau' | head -n 20000")
    execution = await create(http, "/joe/talk")
    await start(http, execution)
    whole, pieces = b"", 0
    while True:
        answer = (await http.get(execution, params={"log_offset": len(whole)})).json()
        assert answer["log_offset"] == len(whole)
        piece = answer["log"].encode()
        assert len(piece) <= 100_003
        if not piece:
            break
        whole, pieces = whole + piece, pieces + 1
    assert pieces == 3
    assert whole.decode() == (await http.get(execution)).json()["log"] == "grün und blau\n" * 20000


async def test_no_answer_has_the_log_when_it_is_not_wanted(http: httpx.AsyncClient) -> None:
    execution, without = await create(http), {"include_log": "false"}
    for method, path in [("POST", "/start"), ("POST", "/stop"), ("DELETE", "")]:
        answer = await http.request(method, execution + path, params=without)
        assert answer.status_code == 200
        assert "log" not in answer.json()


@pytest.mark.each_engine
@pytest.mark.unconfined
async def test_an_execution_whose_program_removed_its_log_is_answered(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.function("sly", "rm ../log")
    execution = await run(http, "/joe/sly")
    assert (await http.get(execution)).json()["log"] == ""
    assert (await http.delete(execution)).status_code == 200


# ── Inputs ────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_that_nobody_wants_is_taken_before_the_answer(
    site: Site, http: httpx.AsyncClient
) -> None:
    """A client that sends all before it reads got EPIPE for an execution that came to be."""
    body = bytes(20_000_000)
    for path in (f"{FN}/executions", f"{await create(http)}/start"):
        async with await trio.open_unix_socket(str(site.socket)) as stream:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            await stream.send_all(head.encode() + body)
            assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 200")


async def test_nothing_is_done_for_a_client_that_went_in_the_middle_of_its_request(
    site: Site,
) -> None:
    async with await trio.open_unix_socket(str(site.socket)) as stream:
        head = f"POST {FN}/executions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
        await stream.send_all(head.encode() + b"half")
    await site.down()
    assert list((site.state / "executions").iterdir()) == []
    await site.up()


async def test_halves_of_uploads_go_when_the_store_is_taken_up(
    site: Site, http: httpx.AsyncClient
) -> None:
    await create(http)
    (folder,) = (site.state / "executions").iterdir()
    await site.down()
    (folder / "uploads" / "0123").write_text("half")
    await site.up()

    async def gone() -> bool:
        return not (folder / "uploads" / "0123").exists()

    await eventually(gone)


async def test_an_upload_under_way_keeps_its_execution(site: Site, http: httpx.AsyncClient) -> None:
    assert site.server is not None
    executions, execution = site.server.executions, await create(http)
    id_ = execution.rpartition("/")[2]
    aged, taken = trio.Event(), trio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        await aged.wait()
        yield b"rest"
        await taken.wait()

    async def upload() -> None:
        answer = await http.post(f"{execution}/input/a", content=pieces())
        assert answer.json()["size"] == 8

    async with trio.open_nursery() as nursery:
        nursery.start_soon(upload)
        uploads = site.state / "executions" / id_ / "uploads"

        async def arrived(size: int) -> bool:
            return [path.stat().st_size for path in uploads.iterdir()] == [size]

        await eventually(lambda: arrived(4))
        executions._used[id_] = float("-inf")
        aged.set()
        await eventually(lambda: arrived(8))
        await executions.discard_stale()
        taken.set()
    assert (await http.get(execution)).json()["status"] == "pending"


# ── Ending what runs ──────────────────────────────────────────────────────────────────────────


def copied_for_ever(_: object, folder: Path, still_wanted: Callable[[], None], __: object) -> None:
    (folder / "copying").touch()
    while True:
        still_wanted()


@pytest.mark.each_engine
@pytest.mark.parametrize("end", ["stop", "delete", "server"])
async def test_the_copy_of_a_large_folder_can_be_ended(
    site: Site, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(runs, "prepare", copied_for_ever)
    execution = await create(http)
    await http.post(f"{execution}/start")

    async def begun() -> bool:
        return bool(list((site.state / "executions").glob("*/copying")))

    await eventually(begun)
    if end == "stop":
        seen = (await http.post(f"{execution}/stop")).json()
        assert (seen["status"], seen["stopped"]) == ("ended", True)
        assert "before its program was launched" in seen["log"]
    elif end == "delete":
        assert (await http.delete(execution)).json()["status"] == "ended"
        assert list((site.state / "executions").iterdir()) == []
    else:
        await site.down()
        await site.up()
        if site.engine == LOCAL:
            assert "cut off" in (await http.get(execution)).json()["log"]
        else:  # what lasts begins anew
            await http.delete(execution)


@pytest.mark.each_engine
async def test_a_delete_during_the_grace_of_a_stop_kills_at_once(
    site: Site, http: httpx.AsyncClient
) -> None:
    await site.down()
    site.settings = replace(site.settings, stop_grace=600)
    await site.up()
    assert site.server is not None
    site.function("stubborn", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    execution = await create(http, "/joe/stubborn")
    await begin_run(http, execution)
    async with site.http() as other, trio.open_nursery() as nursery:
        nursery.start_soon(other.post, f"{execution}/stop")
        asked = site.server.runs._running[execution.rpartition("/")[2]].asked.end  # type: ignore[index]
        with trio.fail_after(8):
            await asked.wait()
            assert (await http.delete(execution)).json()["stopped"] is True


@pytest.mark.each_engine
async def test_a_delete_tells_the_last_state_with_its_log(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.function("slow", "echo up; sleep 600")
    execution = await create(http, "/joe/slow")
    await begin_run(http, execution)
    seen = (await http.delete(execution)).json()
    assert (seen["status"], seen["stopped"], seen["log"]) == ("ended", True, "up\n")


# ── What is no HTTP ───────────────────────────────────────────────────────────────────────────

UPLOAD = b"POST /joe/fn/executions/EXECUTION/input/a HTTP/1.1\r\nHost: x\r\n"
MALFORMED = {
    "nonsense": (b"\0\1\2\r\n\r\n", b"400"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", b"400"),
    "a huge head": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000, b"431"),
    "a bad chunk": (UPLOAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_what_is_no_http_is_an_error_with_a_body(
    site: Site, http: httpx.AsyncClient, case: str
) -> None:
    request, code = MALFORMED[case]
    id_ = (await create(http)).rpartition("/")[2]
    answer = b""
    async with await trio.open_unix_socket(str(site.socket)) as stream:
        await stream.send_all(request.replace(b"EXECUTION", id_.encode()))
        with trio.fail_after(10):
            while piece := await stream.receive_some(10_000):
                answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + code)
    assert b"content-type: application/json" in head
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body)["errorMessage"]
