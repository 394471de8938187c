"""Many at once, and very large ones: all of it right, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import trio

from tests.fakeservice import until
from tests.functions import write_function
from tests.mount.harness import PIFOPFS, environment
from tests.mount.test_serve import serving

EXECUTIONS = 200
LARGE = int(os.environ.get("PIFOPFS_TEST_LARGE", str(512 << 20)))
"""Bytes of the large input and output; 5 GiB have been tried."""
BOUND = 200 << 20
"""Bytes of memory that a server may use at any time."""


def client(root: Path, ready: str, certificate: str) -> httpx.AsyncClient:
    """A client with the master key of joe/fn."""
    key = subprocess.run(
        [*PIFOPFS, "keys", "master", "joe/fn"],
        env=environment(root), capture_output=True, text=True, check=True, timeout=20,
    ).stdout.strip()  # fmt: skip
    return httpx.AsyncClient(
        base_url=ready.split(" on ")[1].strip() + "/joe/fn",
        headers={"Authorization": f"Bearer {key}"},
        verify=ssl.create_default_context(cafile=certificate),
        timeout=60,
        limits=httpx.Limits(max_connections=EXECUTIONS),
        trust_env=False,
    )


def most_memory(pid: int) -> int:
    """The most that a process has used since it was started, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def job(http: httpx.AsyncClient, number: int) -> None:
    execution = f"/executions/{(await http.post('/executions')).json()['id']}"
    content = os.urandom(100_000) + str(number).encode()
    assert (await http.post(f"{execution}/input/a", content=content)).status_code == 200
    assert (await http.post(f"{execution}/start")).json()["status"] == "running"
    while (seen := (await http.get(execution)).json())["status"] == "running":  # noqa: ASYNC110
        await trio.sleep(0.5)
    assert (seen["end_reason"], seen["log"]) == ("normal", "up\n"), seen
    assert (await http.get(f"{execution}/output/r")).content == content
    assert (await http.delete(execution)).status_code == 200


async def slow(http: httpx.AsyncClient, certificate: str, path: str) -> None:
    """A client that reads next to nothing of an answer."""
    context = ssl.create_default_context(cafile=certificate)
    port = http.base_url.port
    assert port is not None
    stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=context)
    head = f"GET {http.base_url.path.rstrip('/')}{path} HTTP/1.1\r\nHost: localhost\r\n"
    key = http.headers["Authorization"]
    await stream.send_all(f"{head}Authorization: {key}\r\n\r\n".encode())
    try:
        assert await stream.receive_some(1) == b"H"
        await trio.sleep_forever()
    finally:
        await trio.aclose_forcefully(stream)


async def test_two_hundred_executions_at_once(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn", "echo up; sleep 1; cat a.txt > r.txt")
    with serving(root, "--port", "0") as (process, ready):
        assert process.stdout is not None
        certificate = process.stdout.readline().split()[1]
        async with client(root, ready, certificate) as http:
            with trio.fail_after(100):
                async with trio.open_nursery() as nursery:
                    for number in range(EXECUTIONS):
                        nursery.start_soon(job, http, number)
            left = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            assert left == ""
            assert most_memory(process.pid) < BOUND


async def test_large_files_pass_through_in_bounded_memory_and_slow_clients_block_nobody(
    root: Path,
) -> None:
    write_function(root / "fns" / "joe" / "fn", "mv a.txt r.txt")
    block = os.urandom(1 << 20)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(LARGE >> 20):
            yield block

    with serving(root, "--port", "0") as (process, ready):
        assert process.stdout is not None
        certificate = process.stdout.readline().split()[1]
        async with client(root, ready, certificate) as http:
            execution = f"/executions/{(await http.post('/executions')).json()['id']}"
            answer = await http.post(f"{execution}/input/a", content=pieces())
            assert answer.json()["size"] == LARGE
            await http.post(f"{execution}/start")

            async def over() -> bool:
                return bool((await http.get(execution)).json()["status"] == "ended")

            with trio.fail_after(60):
                while not await over():  # noqa: ASYNC110
                    await trio.sleep(0.1)
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(slow, http, certificate, f"{execution}/output/r")
                received, size = hashlib.sha256(), 0
                async with http.stream("GET", f"{execution}/output/r") as body:
                    async for piece in body.aiter_raw():
                        received.update(piece)
                        size += len(piece)
                nursery.cancel_scope.cancel()
            expected = hashlib.sha256()
            for _ in range(LARGE >> 20):
                expected.update(block)
            assert (size, received.digest()) == (LARGE, expected.digest())
            assert most_memory(process.pid) < BOUND
            await http.delete(execution)
        until(lambda: not list((root / "state").glob("pifopfs/servers/*/executions/*")))


async def test_regression_large_logs_are_not_held_in_memory(root: Path) -> None:
    """Four readers of one that JSON makes six times as long took gigabytes; others had to wait."""
    write_function(root / "fns" / "joe" / "fn", "head -c 60000000 /dev/zero; printf end")
    with serving(root, "--port", "0") as (process, ready):
        assert process.stdout is not None
        certificate = process.stdout.readline().split()[1]
        async with client(root, ready, certificate) as http:
            execution = f"/executions/{(await http.post('/executions')).json()['id']}"
            await http.post(f"{execution}/start")
            without = {"include_log": "false"}
            with trio.fail_after(60):
                while (await http.get(execution, params=without)).json()["status"] == "running":  # noqa: ASYNC110
                    await trio.sleep(0.1)

            async def whole() -> None:
                size = 0
                async with http.stream("GET", execution) as body:
                    async for piece in body.aiter_raw():
                        size += len(piece)
                assert size == int(body.headers["Content-Length"]) > 6 * 60_000_000

            with trio.fail_after(90):
                async with trio.open_nursery() as slow_ones:
                    for _ in range(5):
                        slow_ones.start_soon(slow, http, certificate, execution)
                    async with trio.open_nursery() as nursery:
                        for _ in range(2):
                            nursery.start_soon(whole)
                    slow_ones.cancel_scope.cancel()
            assert most_memory(process.pid) < BOUND


async def test_regression_silent_connections_leave_descriptors_for_what_runs(root: Path) -> None:
    """They took all that there were: the server ended, and runs that were accepted failed."""
    write_function(root / "fns" / "joe" / "fn", "echo up; cat a.txt > r.txt")
    under = ("prlimit", "--nofile=400:400")
    with serving(root, "--port", "0", under=under) as (process, ready), ExitStack() as cleanup:
        assert process.stdout is not None
        certificate = process.stdout.readline().split()[1]
        async with client(root, ready, certificate) as http:
            await http.get("")
            port = http.base_url.port
            for _ in range(450):
                silent = socket.create_connection(("127.0.0.1", port), timeout=5)
                cleanup.callback(silent.close)
            with trio.fail_after(30):
                await job(http, 0)
            assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < 200
            assert process.poll() is None
