"""The client and raw HTTP against the server, over a real socket, in one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from pifopfs.api import Deadlines, FunctionClient
from pifopfs.machine import BUBBLEWRAP, NONE
from pifopfs.server.catalog import Root
from pifopfs.server.executions import Settings
from pifopfs.server.gate import Gate, KeyGate, OwnUser
from pifopfs.server.http import listen, unix_door
from pifopfs.server.keys import Keys, master_key
from pifopfs.server.limits import Limits
from pifopfs.server.routes import make_app
from pifopfs.server.serving import Server, open_server
from tests.engines import LOCAL, Engine
from tests.functions import write_function

SETTINGS = Settings(stop_grace=0.5, limits=Limits(input=10_000_000))


@dataclass
class Site:
    """A server of ROOT/joe/*, which can be ended and begun again."""

    root: Path
    nursery: trio.Nursery
    engine: Engine = LOCAL
    isolation: str = BUBBLEWRAP
    with_keys: bool = False
    settings: Settings = SETTINGS
    """Of the next start."""
    app: Any = None
    """The application, without what is wrapped around it."""
    server: Server | None = None
    _end: trio.Event | None = None
    _over: trio.Event | None = None

    @property
    def socket(self) -> Path:
        return self.root / "s.sock"

    @property
    def state(self) -> Path:
        return self.root / "state"

    def function(self, name: str, script: str = "true", **more: object) -> Path:
        return write_function(self.root / "fns" / "joe" / name, script, **more)

    def client(
        self, name: str = "fn", author: str = "joe", key: str | None = None
    ) -> FunctionClient:
        deadlines = Deadlines(stall=20, total=40, create=20)
        return FunctionClient(
            f"{author}/{name}",
            endpoint=f"unix:{self.socket}",
            api_key=key,
            deadlines=deadlines,
        )

    def http(self, key: str | None = None) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=30, headers=headers
        )

    def master(self, name: str = "fn") -> str:
        """The master key of joe/NAME."""
        key = master_key(self.state, "joe", name)
        assert key is not None
        return key

    async def up(self) -> None:
        self.server = await self.nursery.start(self._run)

    async def down(self) -> None:
        """End in order: what runs is cut off."""
        assert self._end is not None
        assert self._over is not None
        self._end.set()
        with trio.fail_after(10):
            await self._over.wait()

    def _gate(self, server: Server) -> Gate:
        if self.with_keys:
            return KeyGate(Keys(server.store, self.state), trusted=False)
        return OwnUser()

    async def _run(self, task_status: trio.TaskStatus[Server]) -> None:
        self._end, self._over = trio.Event(), trio.Event()
        try:
            async with (
                open_server(
                    Root(self.root / "fns"),
                    self.state,
                    self.settings,
                    isolation=self.isolation,
                    engine=self.engine.name,
                    engine_options=self.engine.options,
                ) as server,
                trio.open_nursery() as nursery,
            ):
                app = make_app(server.executions, self._gate(server))
                self.app = app._app  # type: ignore[attr-defined]
                await nursery.start(listen, [unix_door(app, self.socket)], self._end.wait)
                task_status.started(server)
        finally:
            self._over.set()


async def eventually(condition: Callable[[], Awaitable[object]], deadline: float = 30) -> None:
    """Poll until `condition()` is true. Fails after the deadline."""
    with trio.fail_after(deadline):
        while not await condition():  # noqa: ASYNC110  # it has no event to wait for
            await trio.sleep(0.08)


@pytest.fixture
async def site(
    root: Path,
    nursery: trio.Nursery,
    engine: Engine,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Site]:
    """A server with the function joe/fn, whose program copies its input.

    A test whose programs must reach this machine is marked `unconfined`, one whose requests need
    keys `keys`.
    """
    marked = {marker.name for marker in request.node.iter_markers()}
    isolation = NONE if "unconfined" in marked else BUBBLEWRAP
    site = Site(root, nursery, engine, isolation, "keys" in marked)
    site.function("fn", "echo running; cat a.txt > r.txt; echo done")
    await site.up()
    yield site
    await site.down()


@pytest.fixture
async def client(site: Site) -> AsyncIterator[FunctionClient]:
    """A client of joe/fn."""
    async with site.client() as client:
        yield client


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP as it is."""
    async with site.http() as client:
        yield client
