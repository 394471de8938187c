"""The server over HTTP as it is: what other clients rely on, whichever library they use."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.contract.conftest import Site, eventually

FN = "/joe/fn"


async def create(http: httpx.AsyncClient, function: str = FN) -> str:
    answer = await http.post(f"{function}/executions")
    assert answer.status_code == 200
    return f"{function}/executions/{answer.json()['id']}"


async def start(http: httpx.AsyncClient, execution: str) -> None:
    """Start it, and return when it has ended."""
    assert (await http.post(f"{execution}/start")).status_code == 200

    async def over() -> bool:
        return bool((await http.get(execution)).json()["status"] == "ended")

    await eventually(over)


async def run(http: httpx.AsyncClient, function: str = FN) -> str:
    """An execution that has ended."""
    execution = await create(http, function)
    await http.post(f"{execution}/input/a", content=b"42")
    await start(http, execution)
    return execution


def refused(answer: httpx.Response, code: int) -> str:
    """An error with its JSON body; the message."""
    assert answer.status_code == code, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    message = answer.json()["errorMessage"]
    assert isinstance(message, str)
    assert message
    return message


# ── States ────────────────────────────────────────────────────────────────────────────────────

REQUESTS = {
    "upload": ("POST", "/input/a"),
    "start": ("POST", "/start"),
    "info": ("GET", ""),
    "output": ("GET", "/output/r"),
    "stop": ("POST", "/stop"),
    "delete": ("DELETE", ""),
}

CODES = {
    #          pending running ended
    "upload": (200, 409, 409),
    "start": (200, 409, 409),
    "info": (200, 200, 200),
    "output": (409, 409, 200),
    "stop": (409, 200, 200),
    "delete": (200, 200, 200),
}


@pytest.mark.each_engine
@pytest.mark.parametrize("request_", REQUESTS)
async def test_every_request_in_every_state(
    site: Site, http: httpx.AsyncClient, request_: str
) -> None:
    site.function("slow", "sleep 600")
    method, path = REQUESTS[request_]
    running = await create(http, "/joe/slow")
    assert (await http.post(f"{running}/start")).json()["status"] == "running"
    executions = [await create(http), running, await run(http)]
    for execution, code in zip(executions, CODES[request_], strict=True):
        answer = await http.request(method, execution + path)
        if code == 200:
            assert answer.status_code == 200
        else:
            refused(answer, code)
    unknown = await http.request(method, f"{FN}/executions/exec_nothing{path}")
    assert "exec_nothing" in refused(unknown, 404)


@pytest.mark.each_engine
async def test_no_answer_after_the_start_says_pending(http: httpx.AsyncClient) -> None:
    execution = await create(http)
    assert (await http.get(execution)).json()["status"] == "pending"
    assert (await http.post(f"{execution}/start")).json()["status"] == "running"
    seen = {(await http.get(execution)).json()["status"] for _ in range(20)}
    assert "pending" not in seen


# ── Documents ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.each_engine
async def test_the_execution_object(http: httpx.AsyncClient) -> None:
    created = (await http.post(f"{FN}/executions")).json()
    assert created["id"].startswith("exec_")
    assert created["id"].removeprefix("exec_").isalnum()
    assert len(created["id"]) >= len("exec_") + 16
    assert (created["func_author"], created["func_id"]) == ("joe", "fn")
    assert created["status"] == "pending"
    assert created["log"] == ""
    for name in ("end_reason", "start_date", "end_date"):
        assert created[name] is None
    assert "output" not in created
    last = (await http.get(await run(http))).json()
    assert last["end_reason"] == "normal"
    assert last["output"] == [{"id": "r", "path": "r.txt", "size": 2}]
    assert last["log"] == "running\ndone\n"
    assert last["init_date"] <= last["start_date"] <= last["end_date"]
    assert len(last["end_date"]) == len("2023-05-05T16:18:43.123Z")
    assert last["end_date"].endswith("Z")


async def test_a_new_execution_under_the_oldest_address(http: httpx.AsyncClient) -> None:
    assert (await http.post(FN)).json()["status"] == "pending"


@pytest.mark.parametrize("value", ["false", "0", "no", "FALSE", "No"])
async def test_the_log_is_left_out_when_asked(http: httpx.AsyncClient, value: str) -> None:
    execution = await run(http)
    assert "log" not in (await http.get(execution, params={"include_log": value})).json()
    deleted = await http.delete(execution, params={"include_log": value})
    assert "log" not in deleted.json()
    assert deleted.json()["status"] == "ended"


@pytest.mark.each_engine
async def test_stdout_is_only_what_is_new(http: httpx.AsyncClient) -> None:
    execution = await run(http)
    first, second = [
        (await http.get(execution, params={"stdout": "true"})).json() for _ in range(2)
    ]
    assert first["stdout"] == first["log"] == second["log"] == "running\ndone\n"
    assert second["stdout"] == ""
    assert "stdout" not in (await http.get(execution)).json()


@pytest.mark.parametrize("offset", ["-1", "x", "1.5", "9" * 30])
async def test_a_log_offset_that_is_none(http: httpx.AsyncClient, offset: str) -> None:
    refused(await http.get(await create(http), params={"log_offset": offset}), 400)


async def test_unknown_parameters_are_ignored_and_the_last_of_two_counts(
    http: httpx.AsyncClient,
) -> None:
    execution = await create(http)
    answer = await http.get(f"{execution}?include_log=true&x=1&include_log=false")
    assert "log" not in answer.json()


# ── Addresses and methods ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "/", "/joe", "/joe/nothing", "/undefined/fn", "/None/fn", "/joe/..%2f..%2fetc", "/joe/fn/",
        "/joe/fn/executions/", "/joe/%00", "/joe/fn/nothing", "//", "/joe/" + "x" * 500,
    ],
)  # fmt: skip
async def test_addresses_that_lead_nowhere(http: httpx.AsyncClient, path: str) -> None:
    refused(await http.get(path), 404)


async def test_methods_that_an_address_does_not_have(http: httpx.AsyncClient) -> None:
    execution = await create(http)
    for method, path in [("PUT", FN), ("DELETE", FN), ("GET", f"{FN}/executions"),
                         ("POST", execution), ("GET", f"{execution}/start")]:  # fmt: skip
        refused(await http.request(method, path), 405)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (FN, "GET, HEAD, OPTIONS, POST"),
        (f"{FN}/executions", "OPTIONS, POST"),
        (f"{FN}/executions/exec_x", "DELETE, GET, HEAD, OPTIONS"),
        (f"{FN}/executions/exec_x/start", "OPTIONS, POST"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_refused_method_is_told_which_ones_there_are(
    http: httpx.AsyncClient, path: str, allowed: str
) -> None:
    answer = await http.put(path)
    refused(answer, 405)
    assert answer.headers["Allow"] == allowed


async def test_head_is_get_without_a_body(http: httpx.AsyncClient) -> None:
    execution = await run(http)
    for path in (FN, execution, f"{execution}/output/r"):
        got, head = await http.get(path), await http.head(path)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["Content-Length"] == str(len(got.content))
        assert head.headers["Content-Type"] == got.headers["Content-Type"]


async def test_keys_are_not_offered_here(http: httpx.AsyncClient) -> None:
    refused(await http.post(f"{FN}/api_keys", params={"key_name": "x"}), 501)
    refused(await http.delete(f"{FN}/api_keys/x"), 501)


# ── Bodies ────────────────────────────────────────────────────────────────────────────────────


async def output(http: httpx.AsyncClient, execution: str) -> bytes:
    await start(http, execution)
    return (await http.get(f"{execution}/output/r")).content


BODIES: dict[str, dict[str, Any]] = {
    "none": {},
    "empty": {"content": b""},
    "form": {"data": {"x": "1", "y": "ü"}},
    "multipart": {"files": {"file": b"bytes"}},
    "json": {"json": {"a": [1, 2]}},
    "bytes": {"content": bytes(range(256)) * 1000},
    "text": {"content": "grün", "headers": {"Content-Type": "text/plain;charset=UTF-8"}},
}


@pytest.mark.parametrize("body", BODIES)
async def test_a_body_is_stored_byte_for_byte(http: httpx.AsyncClient, body: str) -> None:
    execution = await create(http)
    request = http.build_request("POST", f"{execution}/input/a", **BODIES[body])
    await request.aread()
    info = await http.send(request)
    assert info.json() == {"id": "a", "path": "a.txt", "size": len(request.content)}
    assert await output(http, execution) == request.content


async def test_a_chunked_body(http: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield f"{number}\n".encode()

    execution = await create(http)
    assert (await http.post(f"{execution}/input/a", content=pieces())).status_code == 200
    assert (await output(http, execution)).splitlines()[99] == b"99"


async def test_curl_with_expect_100_continue(site: Site, http: httpx.AsyncClient) -> None:
    big = site.root / "big"
    big.write_bytes(b"x" * 3_000_000)
    execution = await create(http)
    result = await trio.run_process(
        ["curl", "-sv", "--unix-socket", str(site.socket), "-H", "Expect: 100-continue",
         "--data-binary", f"@{big}", f"http://localhost{execution}/input/a"],
        capture_stdout=True, capture_stderr=True,
    )  # fmt: skip
    assert b"< HTTP/1.1 100" in result.stderr
    assert b'"size":3000000' in result.stdout
    assert len(await output(http, execution)) == 3_000_000


async def test_a_broken_upload_changes_nothing(site: Site, http: httpx.AsyncClient) -> None:
    execution = await create(http)
    await http.post(f"{execution}/input/a", content=b"whole")
    stream = await trio.open_unix_socket(str(site.socket))
    async with stream:
        head = f"POST {execution}/input/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        await stream.send_all(head.encode() + b"half")
    folder = next((site.state / "executions").iterdir())

    async def cleared() -> bool:
        return [path.name for path in folder.glob("[iu]*/*")] == ["a"]

    await eventually(cleared)
    assert await output(http, execution) == b"whole"


async def test_an_upload_that_stands_still_is_ended_and_changes_nothing(
    site: Site, http: httpx.AsyncClient
) -> None:
    await site.down()
    site.settings = replace(site.settings, upload_stall=0.2)
    await site.up()
    execution = await create(http)
    await http.post(f"{execution}/input/a", content=b"whole")
    async with await trio.open_unix_socket(str(site.socket)) as stream:
        head = f"POST {execution}/input/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        await stream.send_all(head.encode() + b"half")
        answer = b""
        with trio.fail_after(5):  # less than an unwanted body would be waited for
            while piece := await stream.receive_some(10_000):
                answer += piece
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"errorMessage":"nothing of the input came for 0.2 s' in answer
    (folder,) = (site.state / "executions").iterdir()
    assert [path.name for path in folder.glob("[iu]*/*")] == ["a"]
    assert await output(http, execution) == b"whole"


async def test_an_upload_that_is_slow_but_moves_is_taken(
    site: Site, http: httpx.AsyncClient
) -> None:
    await site.down()
    site.settings = replace(site.settings, upload_stall=1.0)
    await site.up()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(15):
            yield b"x"
            await trio.sleep(0.1)

    execution = await create(http)
    assert (await http.post(f"{execution}/input/a", content=pieces())).json()["size"] == 15


async def test_an_input_that_is_longer_than_the_server_takes(http: httpx.AsyncClient) -> None:
    execution = await create(http)
    answer = await http.post(f"{execution}/input/a", content=bytes(10_000_001))
    assert "10000000 bytes" in refused(answer, 413)
    assert (await http.post(f"{execution}/input/a", content=bytes(10_000_000))).is_success


async def test_regression_connections_that_break_off_do_not_end_the_server(
    site: Site, http: httpx.AsyncClient
) -> None:
    """Hypercorn's accept loop let the failure of one connection end them all."""
    execution = await create(http)
    beginnings = [
        f"POST {execution}/input/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhalf",
        f"POST {execution}/input/zzz HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhalf",
        f"GET {execution} HTTP/1.1\r\nHost: x\r\n\r\nGET {execution} HT",
        "GET / HTTP/9.9\r\n\r\n",
        "\0\1\2\r\n\r\n",
        "",
    ]
    for beginning in beginnings * 10:
        async with await trio.open_unix_socket(str(site.socket)) as stream:
            await stream.send_all(beginning.encode())
    assert (await http.get(execution)).status_code == 200


async def test_an_upload_that_the_start_overtakes_is_refused(
    site: Site, http: httpx.AsyncClient
) -> None:
    execution, go_on = await create(http), trio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"half"
        await go_on.wait()
        yield b"rest"

    async def upload() -> None:
        refused(await http.post(f"{execution}/input/a", content=slow()), 409)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(upload)
        uploads = next((site.state / "executions").iterdir()) / "uploads"

        async def begun() -> bool:
            return bool(list(uploads.iterdir()))

        await eventually(begun)
        assert (await http.post(f"{execution}/start")).status_code == 200
        go_on.set()


CONTENT_TYPES = {
    "r.json": "application/json",
    "r.csv": "text/csv; charset=utf-8",
    "r.txt": "text/plain; charset=utf-8",
    "r.bin": "application/octet-stream",
    "r": "application/octet-stream",
}


@pytest.mark.parametrize("path", CONTENT_TYPES)
async def test_the_content_type_of_an_output(
    site: Site, http: httpx.AsyncClient, path: str
) -> None:
    site.function("typed", f"echo 1 > {path}", output=[{"id": "r", "path": path}])
    answer = await http.get(f"{await run(http, '/joe/typed')}/output/r")
    assert answer.headers["Content-Type"] == CONTENT_TYPES[path]
    assert answer.headers["Content-Length"] == "2"


async def test_a_client_that_goes_away_in_a_download_takes_nothing_along(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.function("big", "head -c 30000000 /dev/zero > r.txt")
    execution = await run(http, "/joe/big")
    for _ in range(5):
        async with await trio.open_unix_socket(str(site.socket)) as stream:
            await stream.send_all(f"GET {execution}/output/r HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert await stream.receive_some(1000)

    async def closed() -> bool:
        return not open_outputs()

    await eventually(closed)
    assert len((await http.get(f"{execution}/output/r")).content) == 30_000_000


def open_outputs() -> list[str]:
    """Descriptors of this process, which the server runs in, on outputs."""
    links = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    return [path for path in links if path.endswith("/work/r.txt")]


# ── What is not right with a function ─────────────────────────────────────────────────────────


async def test_a_function_file_that_broke_meanwhile(site: Site, http: httpx.AsyncClient) -> None:
    folder = site.function("fragile")
    execution = await create(http, "/joe/fragile")
    (folder / "function.json").write_text("{")
    for answer in [
        await http.get("/joe/fragile"),
        await http.post("/joe/fragile/executions"),
        await http.post(f"{execution}/start"),
    ]:
        assert "function.json" in refused(answer, 503)
        assert answer.headers["Retry-After"] == "3"
    refused(await http.post(f"{execution}/input/a", content=b"x"), 500)  # 503 stalls a browser
    site.function("fragile")
    assert (await http.post(f"{execution}/start")).status_code == 200


async def test_a_bug_is_a_500_with_a_body(
    site: Site, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.server is not None
    monkeypatch.setattr(site.server.executions, "create", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in refused(await http.post(f"{FN}/executions"), 500)
    monkeypatch.undo()
    await create(http)
