"""A key that is replaced where it is kept: found in time, or when the last one is refused."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from pifopfs import errors
from pifopfs.api import ApiKey, Deadlines, FunctionClient, KeyFile, KeySource
from pifopfs.api.authorization import LOOK, Authorization
from pifopfs.wire import ExecutionId
from tests.fakeservice import FakeExecution, FakeService, refuse

DEADLINES = Deadlines(connect=5, stall=10, total=20, create=10, backoff=0.01)
OLD, NEW = "apikey_old", "apikey_new"
E = ExecutionId("exec_1")

CALLS: dict[str, Callable[[FunctionClient], Awaitable[object]]] = {
    "function": lambda client: client.function(),
    "create": lambda client: client.create(),
    "upload": lambda client: client.upload(E, "coords", b"x"),
    "start": lambda client: client.start(E),
    "log": lambda client: client.log(E),
    "terminate": lambda client: client.terminate(E),
}


@pytest.fixture
def file(root: Path) -> Path:
    path = root / "key"
    path.touch(0o600)
    path.write_text(OLD)
    return path


@asynccontextmanager
async def client_of(service: FakeService, key: str | KeySource) -> AsyncIterator[FunctionClient]:
    service.executions[E] = FakeExecution(E)
    async with FunctionClient(
        "joe/tsp", endpoint=service.endpoint, api_key=key, deadlines=DEADLINES
    ) as client:
        yield client


def sent(service: FakeService) -> list[str | None]:
    return [key and key.removeprefix("Bearer ") for key in service.keys]


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_is_refused_is_made_once_more_with_the_new_key(
    service: FakeService, file: Path, call: str
) -> None:
    async with client_of(service, KeyFile(file)) as client:
        await client.function()  # it has looked just now
        service.accepted = NEW
        file.write_text(NEW)
        await CALLS[call](client)
    assert sent(service) == [OLD, OLD, NEW]
    assert service.count(call) == (3 if call == "function" else 2)


async def test_a_new_key_is_used_though_the_old_one_is_not_refused(
    file: Path, mock_clock: trio.testing.MockClock
) -> None:
    authorization = Authorization(KeyFile(file))
    assert await authorization.look() == OLD
    file.write_text(NEW)
    assert await authorization.look() == OLD
    mock_clock.jump(LOOK)
    assert await authorization.look() == NEW
    assert authorization.headers() == {"Authorization": f"Bearer {NEW}"}


async def test_a_refusal_of_the_key_that_the_file_still_has_is_told_after_one_request(
    service: FakeService, file: Path
) -> None:
    service.accepted = NEW
    async with client_of(service, KeyFile(file)) as client:
        with pytest.raises(errors.AccessDenied) as raised:
            await client.create()
    assert sent(service) == [OLD]
    assert "apikey" not in str(raised.value)


async def test_a_new_key_that_is_refused_too_is_not_tried_for_ever(
    service: FakeService, file: Path
) -> None:
    async with client_of(service, KeyFile(file)) as client:
        await client.function()
        service.accepted = "another"
        file.write_text(NEW)
        with pytest.raises(errors.AccessDenied) as raised:
            await client.create()
    assert sent(service) == [OLD, OLD, NEW]
    assert "apikey" not in str(raised.value)


async def test_a_key_that_was_given_itself_is_not_looked_for(service: FakeService) -> None:
    service.accepted = NEW
    async with client_of(service, OLD) as client:
        with pytest.raises(errors.AccessDenied):
            await client.create()
    assert sent(service) == [OLD]


async def test_what_was_refused_for_another_reason_is_not_made_again(
    service: FakeService, file: Path
) -> None:
    async with client_of(service, KeyFile(file)) as client:
        await client.function()
        file.write_text(NEW)
        service.fault("create", refuse(429))
        with pytest.raises(errors.TooManyExecutions):
            await client.create()
    assert service.count("create") == 1


async def test_an_upload_that_cannot_be_repeated_fails_and_the_next_has_the_new_key(
    service: FakeService, file: Path
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    async with client_of(service, KeyFile(file)) as client:
        await client.function()
        service.accepted = NEW
        file.write_text(NEW)
        with pytest.raises(errors.AccessDenied):
            await client.upload(E, "coords", pieces())
        await client.upload(E, "coords", pieces())
    assert sent(service) == [OLD, OLD, NEW]


@pytest.mark.parametrize("kept", [OLD, NEW])
async def test_many_calls_that_are_refused_together_read_the_file_once(
    file: Path, kept: str
) -> None:
    class Counting(KeyFile):
        reads = 0

        def read(self) -> ApiKey:
            self.reads += 1
            return super().read()

    source = Counting(file)
    authorization = Authorization(source)
    sent, answers = trio.current_time(), []
    file.write_text(kept)

    async def refused() -> None:
        answers.append(await authorization.replaced(OLD, sent))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(refused)
    assert answers == [kept == NEW] * 20
    assert source.reads == 1


@pytest.mark.parametrize("spoil", ["remove", "open"])
async def test_a_file_that_cannot_be_read_any_more_is_told_of_when_its_key_is_refused(
    service: FakeService, file: Path, spoil: str
) -> None:
    async with client_of(service, KeyFile(file)) as client:
        if spoil == "remove":
            file.unlink()
        else:
            file.chmod(0o644)
        await client.function()  # the last key is as good as before
        service.accepted = NEW
        with pytest.raises(errors.AccessDenied, match=str(file)) as raised:
            await client.create()
    assert OLD not in str(raised.value)


async def test_a_file_that_hangs_holds_a_request_up_for_seconds_only_and_once(
    service: FakeService, autojump_clock: trio.testing.MockClock
) -> None:
    release = threading.Event()

    class Hanging:
        key = ApiKey(OLD)

        def look(self) -> ApiKey:
            release.wait(20)
            return self.key

        read = look

    autojump_clock.autojump_threshold = 0.05  # the thread is no sleep
    authorization = Authorization(Hanging())
    began = trio.current_time()
    for _ in range(5):
        assert await authorization.look() == OLD
        await trio.sleep(LOOK)
    release.set()
    assert trio.current_time() - began < 5 * LOOK + 2.5


async def test_no_answer_shows_the_key_or_one_before_it(service: FakeService, file: Path) -> None:
    async with client_of(service, KeyFile(file)) as client:
        await client.function()
        service.accepted = NEW
        file.write_text(NEW)
        await client.function()
        service.fault("create", refuse(403, f"neither {OLD} nor {NEW}"))
        with pytest.raises(errors.AccessDenied) as raised:
            await client.create()
    assert str(raised.value).count("…") == 2
    assert "apikey" not in str(raised.value)
