"""`wait`: an answer that comes when the execution has ended."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

import httpx
import pytest
import trio

from pifopfs.server import waiting
from tests.contract.conftest import Site, eventually
from tests.contract.test_http import FN, create, refused, run
from tests.contract.test_server_regressions import until_there

LONG = {"wait": "20"}


async def begin(site: Site, http: httpx.AsyncClient) -> str:
    """An execution that ends when there is a file `go`."""
    site.function("waits", until_there(site.root / "go"))
    execution = await create(http, "/joe/waits")
    assert (await http.post(f"{execution}/start")).status_code == 200
    return execution


def waiters(site: Site) -> int:
    """How many requests wait."""
    assert site.server is not None
    return sum(map(len, site.server.runs.ends._waiting.values()))


async def some_wait(site: Site, number: int = 1) -> None:
    async def there() -> bool:
        return waiters(site) == number

    await eventually(there)


async def nobody_waits(site: Site) -> None:
    async def none() -> bool:
        assert site.server is not None
        return not site.server.runs.ends._waiting

    await eventually(none)


@pytest.mark.each_engine
@pytest.mark.unconfined
async def test_all_who_wait_hear_of_the_end(site: Site, http: httpx.AsyncClient) -> None:
    execution = await begin(site, http)
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await http.get(execution, params=LONG))

    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
            await some_wait(site, 20)
            (site.root / "go").touch()
    for answer in answers:
        assert (answer.json()["status"], answer.json()["waited"]) == ("ended", True)
    await nobody_waits(site)


async def test_who_waits_for_what_has_ended_is_answered_at_once(http: httpx.AsyncClient) -> None:
    execution = await run(http)
    with trio.fail_after(10):
        seen = (await http.get(execution, params=LONG)).json()
    assert (seen["status"], seen["waited"], seen["log"]) == ("ended", True, "running\ndone\n")


@pytest.mark.parametrize("time", ["0", "0.05", "1e-9", "-3"])
async def test_when_the_time_is_over_the_state_is_told(
    site: Site, http: httpx.AsyncClient, time: str
) -> None:
    execution = await create(http)
    seen = (await http.get(execution, params={"wait": time, "include_log": "no"})).json()
    assert (seen["status"], seen["waited"]) == ("pending", True)
    assert "log" not in seen
    await nobody_waits(site)


@pytest.mark.parametrize("time", ["", "x", "nan", "true", "1,5", "20s"])
async def test_what_is_no_number_is_ignored(http: httpx.AsyncClient, time: str) -> None:
    with trio.fail_after(10):
        seen = (await http.get(await create(http), params={"wait": time})).json()
    assert seen["status"] == "pending"
    assert "waited" not in seen


async def test_without_wait_nothing_is_said_of_it(http: httpx.AsyncClient) -> None:
    assert "waited" not in (await http.get(await create(http))).json()


@pytest.mark.parametrize("time", ["3600", "inf", "9" * 50])
async def test_nobody_waits_for_longer_than_the_most(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, time: str
) -> None:
    monkeypatch.setattr(waiting, "LONGEST", 0.05)
    with trio.fail_after(10):
        seen = (await http.get(await create(http), params={"wait": time})).json()
    assert seen["waited"] is True


@pytest.mark.each_engine
async def test_who_waits_for_a_pending_one_hears_of_its_end(
    site: Site, http: httpx.AsyncClient
) -> None:
    execution = await create(http)
    await http.post(f"{execution}/input/a", content=b"42")
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            assert (await http.get(execution, params=LONG)).json()["status"] == "ended"

        nursery.start_soon(ask)
        await some_wait(site)
        with trio.fail_after(15):
            await http.post(f"{execution}/start")


@pytest.mark.each_engine
@pytest.mark.parametrize("state", ["pending", "running"])
async def test_who_waits_for_one_that_is_deleted_hears_that_it_is_gone(
    site: Site, http: httpx.AsyncClient, state: str
) -> None:
    execution = await create(http) if state == "pending" else await begin(site, http)
    async with trio.open_nursery() as nursery:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await http.get(execution, params=LONG))

        nursery.start_soon(ask)
        await some_wait(site)
        with trio.fail_after(15):
            await http.delete(execution)
    (answer,) = answers
    if answer.status_code == 200:  # it has ended before it was deleted
        assert (state, answer.json()["status"]) == ("running", "ended")
    else:
        refused(answer, 404)
    await nobody_waits(site)


async def test_an_unknown_one_is_not_waited_for(http: httpx.AsyncClient) -> None:
    with trio.fail_after(10):
        refused(await http.get(f"{FN}/executions/exec_nothing", params=LONG), 404)


async def test_a_client_that_goes_waits_no_more(
    site: Site, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    execution = await create(http)
    for _ in range(3):
        async with await trio.open_unix_socket(str(site.socket)) as stream:
            head = f"GET {execution}?wait=20 HTTP/1.1\r\nHost: x\r\n\r\n"
            await stream.send_all(head.encode())
            await some_wait(site)
        await nobody_waits(site)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_the_end_of_the_server_waits_for_nobody_who_waits(
    site: Site, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LONGEST", 60.0)  # and no test takes that long
    execution = await create(http)
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            answer = await http.get(execution, params={"wait": "60"})
            assert (answer.json()["status"], answer.json()["waited"]) == ("pending", True)

        nursery.start_soon(ask)
        await some_wait(site)
        await site.down()
    await site.up()


async def test_many_who_wait_keep_nobody_waiting(site: Site, http: httpx.AsyncClient) -> None:
    number, execution = 300, await create(http)
    head = f"GET {execution}?wait=20 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:

        async def ask() -> None:
            stream = await stack.enter_async_context(await trio.open_unix_socket(str(site.socket)))
            await stream.send_all(head)
            assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 404")

        for _ in range(number):
            nursery.start_soon(ask)
        await some_wait(site, number)
        with trio.fail_after(10):
            await run(http)
            await http.delete(execution)
    await nobody_waits(site)
