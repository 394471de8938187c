"""One mount, wired: the service, the tree, FUSE, the control socket, signals.

Shutdown order: no more requests are taken, uploads under way finish within a grace, the kernel
lets go, background work is cancelled, the record and the lock go. A second signal skips the grace.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import trio

from pifopfs.api import BulkProcess
from pifopfs.config import Config
from pifopfs.errors import OptionInvalid
from pifopfs.fuse import Activity, Ownership, serve_mount
from pifopfs.machine import (
    keep_memory_private,
    raise_descriptor_limit,
    reuse_memory,
    runtime_folder,
)
from pifopfs.mount.control import serve_control
from pifopfs.mount.insight import Insight
from pifopfs.mount.mountpoint import prepare, real_mountpoint
from pifopfs.mount.notifying import tell_watchers
from pifopfs.mount.records import claimed, recorded
from pifopfs.observing.dumps import Section, dumped_on_signal
from pifopfs.sdnotify import Notifier
from pifopfs.service import reached
from pifopfs.tree.executions import Executions
from pifopfs.tree.tree import Tree, open_tree
from pifopfs.wire import Status

log = logging.getLogger(__name__)

LAST_CLOSES = 1.0
"""Seconds that the kernel has to tell that the files are closed whose close was answered."""
SPARE = 10.0
"""Seconds for what else there is to do at the end."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Mount:
    """One mount from start to end."""

    def __init__(
        self, config: Config, ready: Callable[[], None], notifier: Notifier | None = None
    ) -> None:
        """Before there is any thread or event loop: this forks the process for large bodies."""
        keep_memory_private()
        reuse_memory()
        self._config = config
        self._ready = ready
        self._notifier = notifier or Notifier()
        self._bulk = BulkProcess.fork()
        self._tree: Tree | None = None
        self._insight: Insight | None = None

    async def run(self) -> None:
        """Mount, and return when it is unmounted. Raises SetupError, ServiceError."""
        for number in SIGNALS:  # those that come when the end has begun change nothing
            signal.signal(number, lambda *_: None)
        with dumped_on_signal(self._sections):
            await self._run_until_signal()

    def _sections(self) -> Iterable[Section]:
        """Of a dump, besides the tasks."""
        return () if self._insight is None else self._insight.sections()

    async def _run_until_signal(self) -> None:
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
            client, name = await stack.enter_async_context(reached(config))
            await stack.enter_async_context(client.moved_by(self._bulk))
            self._insight = insight = Insight(config, mountpoint, name, client)
            function = await client.function()
            opened = open_tree(client, function, config.settings, insight.providers)
            self._tree = tree = await stack.enter_async_context(opened)
            insight.connect(tree)
            await self._serve(mountpoint, tree, name, claim, insight.activity)
        log.info("%s is unmounted from %s", name, mountpoint)

    async def _serve(
        self, mountpoint: Path, tree: Tree, name: str, claim: ExitStack, activity: Activity
    ) -> None:
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
                    activity,
                    watchdog=config.limits.watchdog,
                    task_status=task_status,
                )
                tree.unmounted()
                await self._settle()
                nursery.cancel_scope.cancel()

            await nursery.start(mounted)
            nursery.start_soon(tell_watchers, tree, mountpoint, config)
            await nursery.start(serve_control, mountpoint, tree.executions)
            with recorded(mountpoint, name, config.folder, config.log_file):
                log.info("%s is mounted on %s", name, mountpoint)
                claim.close()
                status = partial(_status, name, mountpoint, tree.executions)
                self._notifier.ready(status())
                self._ready()
                await self._notifier.keep_told(status)
                await trio.sleep_forever()

    async def _settle(self) -> None:
        """Let uploads under way finish, within the grace; `start` does the others another time."""
        if self._tree is None:
            return
        self._notifier.stopping(self._config.limits.shutdown_grace + LAST_CLOSES + SPARE)
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


def _status(name: str, mountpoint: Path, executions: Executions) -> str:
    """One line for `systemctl status`, from what is known: nothing is asked for it."""
    known = [job.execution for job in executions]
    running = [each for each in known if each.state == Status.RUNNING]
    plural = "" if len(known) == 1 else "s"
    return f"{name} on {mountpoint}: {len(known)} execution{plural}, {len(running)} running"
