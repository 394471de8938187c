"""Whatever a program leaves in place of an output, only its own bytes are ever served."""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from pathlib import Path

import httpx
import pytest
import trio

from tests.contract.conftest import Site, eventually
from tests.sandbox.conftest import ended, started

RIGHT, SECRET = b"right", b"secret"
AT_FDCWD, RENAME_EXCHANGE = -100, 2

libc = ctypes.CDLL(None, use_errno=True)


def secret_folder(site: Site) -> Path:
    """Out of the sandbox's sight, with a file r.txt that is no run's."""
    folder = site.root / "secret"
    folder.mkdir()
    (folder / "r.txt").write_bytes(SECRET)
    return folder


async def leave(site: Site, http: httpx.AsyncClient, script: str, path: str = "r.txt") -> str:
    """An execution of a program that leaves its output `r` so."""
    site.function("leave", script, input=[], output=[{"id": "r", "path": path}])
    execution = await started(http, "leave")
    document = await ended(http, execution)
    assert document["exit_code"] == 0, document
    return execution


LEFT = {
    "a link to a file": "ln -s {secret}/r.txt r.txt",
    "a link to a file of the sandbox": "ln -s /etc/passwd r.txt",
    "a link to a file of its own": "echo mine > mine; ln -s mine r.txt",
    "a link to nothing": "ln -s nothing r.txt",
    "a link in a circle": "ln -s r.txt r.txt",
    "a FIFO": "mkfifo r.txt",
    "a folder": "mkdir r.txt",
    "a socket": "/usr/bin/python3 -c 'import socket; socket.socket(1).bind(\"r.txt\")'",
    "nothing": "true",
}


@pytest.mark.parametrize("left", LEFT)
async def test_what_is_no_regular_file_is_no_output(
    site: Site, http: httpx.AsyncClient, left: str
) -> None:
    script = LEFT[left].format(secret=secret_folder(site))
    execution = await leave(site, http, script)
    with trio.fail_after(5):
        answer = await http.get(f"{execution}/output/r")
    assert answer.status_code == 404
    assert (await http.get(execution)).json()["output"] == []


@pytest.mark.parametrize("target", ["{secret}", "/proc/self/cwd", "mine", "..", "../../secret"])
async def test_a_link_in_place_of_a_folder_leads_to_no_output(
    site: Site, http: httpx.AsyncClient, target: str
) -> None:
    target = target.format(secret=secret_folder(site))
    script = f"mkdir mine; echo mine > mine/r.txt; echo mine > r.txt; rm -rf d; ln -s {target} d"
    execution = await leave(site, http, script, "d/r.txt")
    assert (await http.get(f"{execution}/output/r")).status_code == 404


async def test_a_file_with_the_setuid_bit_is_served_as_any_other(
    site: Site, http: httpx.AsyncClient
) -> None:
    execution = await leave(site, http, "printf right > r.txt; chmod 6755 r.txt")
    answer = await http.get(f"{execution}/output/r")
    assert (answer.status_code, answer.content) == (200, RIGHT)


@pytest.mark.parametrize("mode", ["000", "200", "444"])
async def test_the_server_reads_an_output_of_its_own_user_or_says_it_is_not_there(
    site: Site, http: httpx.AsyncClient, mode: str
) -> None:
    execution = await leave(site, http, f"printf right > r.txt; chmod {mode} r.txt")
    answer = await http.get(f"{execution}/output/r")
    assert answer.status_code == 404 or answer.content == RIGHT
    assert answer.status_code == 200 or mode in ("000", "200")


async def test_a_hard_link_within_the_run_is_an_output(site: Site, http: httpx.AsyncClient) -> None:
    execution = await leave(site, http, "printf right > mine; ln mine r.txt")
    assert (await http.get(f"{execution}/output/r")).content == RIGHT


async def test_a_sparse_file_is_streamed_without_taking_its_size(
    site: Site, http: httpx.AsyncClient
) -> None:
    size = 1 << 35
    execution = await leave(site, http, f"truncate -s {size} r.txt")
    async with await trio.open_unix_socket(os.fspath(site.socket)) as stream:
        request = f"GET {execution}/output/r HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await stream.send_all(request.encode())
        said = b""
        with trio.fail_after(10):
            while len(said) < 100_000:
                said += await stream.receive_some()
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert f"content-length: {size}".encode() in head.lower()
    assert set(body) == {0}
    (file,) = site.state.rglob("work/r.txt")
    assert file.stat().st_blocks == 0


def swapped(one: Path, other: Path) -> None:
    """At once, as a program would do it between two looks of the server's."""
    paths = (os.fsencode(one), os.fsencode(other))
    if libc.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


@pytest.mark.parametrize("swap", ["folder", "file"])
async def test_a_link_that_is_swapped_in_while_it_is_read_never_leads_away(
    site: Site, http: httpx.AsyncClient, swap: str
) -> None:
    secret = secret_folder(site)
    execution = await leave(site, http, "mkdir -p d; printf right > d/r.txt", "d/r.txt")
    (file,) = site.state.rglob("work/d/r.txt")
    place, link = (file.parent, secret) if swap == "folder" else (file, secret / "r.txt")
    other = site.root / "other"
    other.symlink_to(link)
    over = trio.Event()

    def swapping() -> None:
        while not over.is_set():
            swapped(place, other)

    answers: Counter[tuple[int, bytes]] = Counter()

    async def read() -> bool:
        answer = await http.get(f"{execution}/output/r")
        answers[answer.status_code, answer.content if answer.status_code == 200 else b""] += 1
        return answers.total() > 300 and len(answers) > 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, swapping)
        try:
            await eventually(read, 30)
        finally:
            over.set()
    assert answers.keys() == {(200, RIGHT), (404, b"")}


@pytest.mark.each_engine
async def test_the_outputs_of_an_execution_are_its_own(site: Site, http: httpx.AsyncClient) -> None:
    """Another's is not reached by any name in the path."""
    first = await leave(site, http, "printf first > r.txt")
    second = await leave(site, http, "printf second > r.txt")
    assert (await http.get(f"{first}/output/r")).content == b"first"
    other = first.rsplit("/", 1)[1]
    for name in (f"../../{other}/work/r.txt", f"..%2f..%2f{other}%2fwork%2fr.txt", "r.txt", "%2e"):
        answer = await http.get(f"{second}/output/{name}")
        assert answer.status_code in (404, 405), name
        assert b"first" not in answer.content
