"""Which engine a server has: its isolation tried at the start, its memory guard chosen.

Nothing is ever run without the sandbox because the sandbox does not work: an operator who wants
that has to say so.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from pifopfs.errors import OptionInvalid, ServerNotStarted
from pifopfs.machine import NONE
from pifopfs.server.engines.finding import EngineSettings
from pifopfs.server.engines.local import LocalEngine
from pifopfs.server.limits import DEFAULT
from pifopfs.server.memory import MemoryGuard
from pifopfs.server.memory.choosing import choose
from pifopfs.server.sandbox.bubblewrap import DESCRIPTORS, Bubblewrap, find_program
from pifopfs.server.sandbox.isolation import Isolation
from pifopfs.server.sandbox.launch import Launch
from pifopfs.server.sandbox.seccomp import UnknownMachine
from pifopfs.server.sandbox.stepdown import user_for_programs
from pifopfs.server.sandbox.unconfined import Unconfined
from pifopfs.server.workspace import give

log = logging.getLogger(__name__)

CHOICE = (
    "or run programs without a sandbox, which is for functions that you trust: --isolation none"
)

ADVICE = {
    "setting up uid map: Permission denied": "this machine lets no program but those it knows make "
    "user namespaces (AppArmor): see 'AppArmor' in docs/SERVER.md",
    "Failed RTM_NEWADDR": "this machine lets no program but those it knows make user namespaces "
    "(AppArmor): see 'AppArmor' in docs/SERVER.md",
    "ENOSPC": "user namespaces are switched off: sysctl user.max_user_namespaces=15000",
    "No permissions to create new namespace": "user namespaces are for root only: "
    "sysctl kernel.unprivileged_userns_clone=1",
    "Can't mount proc": "this is a container that hides parts of /proc: start it with "
    "--security-opt systempaths=unconfined, or run the server outside",
    "unshare failed": "this is a container whose root has no rights of the system's: start it with "
    "--cap-add SYS_ADMIN, or run the server as another user",
    "Operation not permitted": "this is a container that allows no namespaces: start it with "
    "--security-opt seccomp=unconfined --security-opt apparmor=unconfined",
}
"""What to do, by what is said where the sandbox does not start."""


async def open_engine(
    kind: str,
    guard: MemoryGuard,
    *,
    owner: str,
    run_as: str | None = None,
    stop_grace: float = 2.0,
    descriptors: int = DESCRIPTORS,
) -> LocalEngine:
    """An engine whose isolation has been seen to work.

    `kind`: one of `machine.ISOLATIONS`. `owner`: tells this server's programs from all others, and
    is the same after a restart. `run_as`: see `user_for_programs`. `stop_grace`: seconds between
    SIGTERM and SIGKILL. `descriptors`: how many open files a program without a sandbox may have.

    Raises ServerNotStarted with what to do, OptionInvalid.
    """
    mark = f"pifopfs-{owner}"
    engine = LocalEngine(make_isolation(kind, mark, run_as, descriptors), guard, mark, stop_grace)
    if kind == NONE:
        log.warning("isolation is none: programs can do all that this server's user can")
    else:
        await _prove(engine)
    return engine


@asynccontextmanager
async def open_local(settings: EngineSettings) -> AsyncIterator[LocalEngine]:
    """The engine of this machine. Raises ServerNotStarted, OptionInvalid."""
    if settings.options:
        names = ", ".join(settings.options)
        raise OptionInvalid(f"the engine local has no options; leave out {names}")
    yield await open_engine(
        settings.isolation,
        await choose(settings.owner),
        owner=settings.owner,
        run_as=settings.run_as,
        stop_grace=settings.stop_grace,
        descriptors=settings.descriptors,
    )


def make_isolation(kind: str, mark: str, run_as: str | None, descriptors: int) -> Isolation:
    """What keeps programs apart, of that kind. Raises ServerNotStarted, OptionInvalid."""
    if kind == NONE:
        return Unconfined(mark, descriptors)
    try:
        return Bubblewrap(mark, user_for_programs(run_as), find_program())
    except UnknownMachine as error:
        raise _failure(str(error)) from error


async def _prove(engine: LocalEngine) -> None:
    """Run a program that does nothing, just as all others. Raises ServerNotStarted."""
    said: list[bytes] = []
    with _folder(engine) as folder:
        try:
            job = await engine.launch(Launch("a first try", ("true",), folder, DEFAULT))
            await job.release()
            ended = await job.wait(said.append)
        except OSError as error:
            raise _failure(error.strerror or str(error)) from error
    if ended.code:
        raise _failure(b"".join(said).decode("utf-8", "replace").strip() or f"{ended.code}")


@contextmanager
def _folder(engine: LocalEngine) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pifopfs-") as folder:
        for name in ("work", "tmp"):
            Path(folder, name).mkdir()
        give(engine.user, Path(folder, "work"))
        yield Path(folder)


def _failure(said: str) -> ServerNotStarted:
    advice = next((advice for words, advice in ADVICE.items() if words in said), "")
    return ServerNotStarted(
        f"the sandbox does not work here ({said}): {advice + '; ' if advice else ''}{CHOICE}"
    )
