"""The engine: this machine, with a queue that is full as long as a file is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from pifopfs.errors import OptionInvalid
from pifopfs.server.engines import Engine, Job
from pifopfs.server.engines.finding import EngineSettings
from pifopfs.server.engines.opening import open_local
from pifopfs.server.sandbox.launch import Exit, Launch

AHEAD = 3
COLOURS = ("red", "blue")


class Queued:
    """A job that waits for its turn; otherwise as one of the local engine."""

    def __init__(self, job: Job, full: Path) -> None:
        self._job = job
        self._full = full
        self.trace = job.trace

    @property
    def position(self) -> int | None:
        return AHEAD if self._full.exists() else None

    async def release(self) -> None:
        """Not yet."""

    async def begun(self) -> float:
        while self._full.exists():  # noqa: ASYNC110
            await trio.sleep(0.02)
        await self._job.release()
        return await self._job.begun()

    async def wait(self, output: Callable[[bytes], None]) -> Exit:
        return await self._job.wait(output)

    async def stop(self) -> None:
        await self._job.stop()

    async def kill(self) -> None:
        await self._job.kill()

    async def forget(self) -> None:
        await self._job.forget()


class Hall:
    """`full` names the file; `note` one that is told what functions ask for."""

    name = "hall"
    lasting = False

    def __init__(self, local: Engine, options: Mapping[str, str]) -> None:
        self._local = local
        self._options = options
        self.isolation = local.isolation
        self.user = local.user

    def check(self, options: Mapping[str, str]) -> None:
        if options.get("colour", "red") not in COLOURS or options.keys() - {"colour"}:
            raise OptionInvalid(f"the engine hall has only the option colour, {COLOURS}")

    async def launch(self, launch: Launch) -> Queued:
        if "note" in self._options:
            Path(self._options["note"]).write_text(json.dumps(dict(launch.options)))
        job = await self._local.launch(replace(launch, options={}))
        return Queued(job, Path(self._options.get("full", "/nowhere")))

    async def resume(self, trace: str, launch: Launch) -> Job | None:
        return await self._local.resume(trace, launch)

    def sweep(self) -> None:
        self._local.sweep()


@asynccontextmanager
async def open_hall(settings: EngineSettings) -> AsyncIterator[Hall]:
    unknown = settings.options.keys() - {"full", "note"}
    if unknown:
        raise OptionInvalid(f"the engine hall has no option {unknown.pop()}; it has full and note")
    async with open_local(replace(settings, options={})) as local:
        yield Hall(local, settings.options)
