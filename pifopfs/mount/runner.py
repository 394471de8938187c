"""One mount, wired: the service, the tree, FUSE, the control socket, signals.

Shutdown order: no more requests are taken, uploads under way finish within a grace, the kernel
lets go, background work is cancelled, the record and the lock go. A second signal skips the grace.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from pifopfs.api import BulkProcess, FunctionClient
from pifopfs.config import Config, Limits
from pifopfs.errors import OptionInvalid
from pifopfs.fuse import Ownership, serve_mount
from pifopfs.machine import (
    keep_memory_private,
    raise_descriptor_limit,
    reuse_memory,
    runtime_folder,
)
from pifopfs.mount.control import serve_control
from pifopfs.mount.mountpoint import prepare, real_mountpoint
from pifopfs.mount.records import claimed, recorded
from pifopfs.server.embedded.guest import Lease, join_or_start
from pifopfs.tree.tree import Tree, open_tree

log = logging.getLogger(__name__)

LAST_CLOSES = 1.0
"""Seconds that the kernel has to tell that the files are closed whose close was answered."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Mount:
    """One mount from start to end."""

    def __init__(self, config: Config, ready: Callable[[], None]) -> None:
        """Before there is any thread or event loop: this forks the process for large bodies."""
        keep_memory_private()
        reuse_memory()
        self._config = config
        self._ready = ready
        self._bulk = BulkProcess.fork()
        self._tree: Tree | None = None

    async def run(self) -> None:
        """Mount, and return when it is unmounted. Raises SetupError, ServiceError."""
        for number in SIGNALS:  # those that come when the end has begun change nothing
            signal.signal(number, lambda *_: None)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._end_on_signal, nursery.cancel_scope)
            await self._run()
            nursery.cancel_scope.cancel()

    async def _run(self) -> None:
        config = self._config
        with ExitStack() as claim:
            claim.enter_context(claimed(real_mountpoint(config.mountpoint)))
            mountpoint = prepare(config.mountpoint)
            _check_folders(config, mountpoint)
            await self._mount(mountpoint, claim)

    async def _mount(self, mountpoint: Path, claim: ExitStack) -> None:
        """`claim` is let go of once the mount is there."""
        config = self._config
        async with AsyncExitStack() as stack:
            client, name = await stack.enter_async_context(_service(config))
            await stack.enter_async_context(client.moved_by(self._bulk))
            function = await client.function()
            tree = await stack.enter_async_context(open_tree(client, function, config.settings))
            self._tree = tree
            await self._serve(mountpoint, tree, name, claim)
        log.info("%s is unmounted from %s", name, mountpoint)

    async def _serve(self, mountpoint: Path, tree: Tree, name: str, claim: ExitStack) -> None:
        config = self._config
        options = {*config.options.kernel, f"fsname={_source(name)}"}
        ownership = Ownership(config.options.uid, config.options.gid, config.options.umask)
        raise_descriptor_limit()  # every open file of the mount costs one here
        async with trio.open_nursery() as nursery:

            async def mounted(task_status: trio.TaskStatus[None]) -> None:
                await serve_mount(
                    tree,
                    mountpoint,
                    options,
                    ownership,
                    watchdog=config.limits.watchdog,
                    task_status=task_status,
                )
                tree.unmounted()
                await self._settle()
                nursery.cancel_scope.cancel()

            await nursery.start(mounted)
            await nursery.start(serve_control, mountpoint, tree.executions)
            with recorded(mountpoint, name, config.folder, config.log_file):
                log.info("%s is mounted on %s", name, mountpoint)
                claim.close()
                self._ready()
                await trio.sleep_forever()

    async def _settle(self) -> None:
        """Let uploads under way finish, within the grace; `start` does the others another time."""
        if self._tree is None:
            return
        with trio.move_on_after(self._config.limits.shutdown_grace) as grace:
            await self._tree.settle()
        if grace.cancelled_caught:
            log.warning("uploads that have not ended are cut off")
            self._tree.cut_uploads()
        with trio.move_on_after(LAST_CLOSES):
            await self._tree.settle()
            await self._tree.last_closes()

    async def _end_on_signal(
        self, scope: trio.CancelScope, task_status: trio.TaskStatus[None]
    ) -> None:
        """The first signal ends the mount in order, a second one at once."""

        async def end() -> None:
            await self._settle()
            scope.cancel()

        with trio.open_signal_receiver(*SIGNALS) as signals:
            async with trio.open_nursery() as nursery:
                task_status.started()
                first = True
                async for number in signals:
                    log.info("%s: ending the mount", signal.Signals(number).name)
                    if first:
                        nursery.start_soon(end)
                    else:
                        scope.cancel()
                    first = False


def _check_folders(config: Config, mountpoint: Path) -> None:
    """A mount that kept its files in itself would wait for itself. Raises OptionInvalid."""
    folders = {
        "--state-dir": config.settings.state_dir,
        "--cache-dir": config.settings.cache_dir,
        "XDG_RUNTIME_DIR": runtime_folder("mounts"),
    }
    for option, folder in folders.items():
        if folder.resolve().is_relative_to(mountpoint):
            raise OptionInvalid(f"{option}: {folder} is below the mountpoint; name another folder")


def _source(name: str) -> str:
    """The function's name as the mount table can show it: ASCII, without a comma."""
    return name.replace(",", "_").encode("ascii", "backslashreplace").decode()


@asynccontextmanager
async def _service(config: Config) -> AsyncIterator[tuple[FunctionClient, str]]:
    """A client of the service, and the function's name; a folder's server is held meanwhile."""
    make = partial(FunctionClient, deadlines=config.deadlines)
    if config.folder is not None:
        async with (
            _held_server(config.folder, config.limits, config.isolation) as lease,
            make(lease.function, endpoint=lease.endpoint) as client,
        ):
            yield client, lease.function
    else:
        assert config.function is not None  # noqa: S101  # it is one or the other
        async with make(
            config.function,
            endpoint=config.endpoint,
            api_key=config.api_key,
            ca_file=config.ca_file,
        ) as client:
            yield client, config.function


@asynccontextmanager
async def _held_server(folder: Path, limits: Limits, isolation: str) -> AsyncIterator[Lease]:
    """The server of a folder, which is started again should it die."""
    lease = await join_or_start(
        folder,
        linger=limits.server_linger,
        deadline=limits.server_start,
        isolation=isolation,
    )
    async with lease, trio.open_nursery() as nursery:
        nursery.start_soon(lease.keep)
        yield lease
        nursery.cancel_scope.cancel()
