"""What a mount shows of itself: the files of `.pifopfs`, and what a dump adds to its tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import trio

from pifopfs.api import FunctionClient
from pifopfs.config import Config
from pifopfs.fuse import Activity
from pifopfs.mount.stats import Stats
from pifopfs.observing.dumps import Section
from pifopfs.observing.text import printable
from pifopfs.tree.hidden import Provider
from pifopfs.tree.tree import Tree


class Insight:
    """Into one mount."""

    def __init__(
        self, config: Config, mountpoint: Path, function: str, client: FunctionClient
    ) -> None:
        self.activity = Activity()
        self._config = config
        self._client = client
        self._clock = trio.lowlevel.current_clock()
        self._stats = Stats(mountpoint, function, self.activity, client)

    def connect(self, tree: Tree) -> None:
        """The tree is there."""
        self._stats.tree = tree

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Of the files."""
        return {
            "stats": self._stats.text,
            "config": self._show_config,
            "requests": self._show_requests,
        }

    async def _show_config(self) -> bytes:
        from pifopfs.config.shown import render

        return render(self._config).encode(errors="surrogateescape")

    async def _show_requests(self) -> bytes:
        return self._client.recorder.render()

    def sections(self) -> Iterator[Section]:
        """What a dump shows. Another thread asks."""
        yield Section.of("open handles", self._handles())
        yield Section.of_waiting("calls under way", self._calls())
        yield Section.of("connections", self._client.connections())

    def _handles(self) -> Iterator[str]:
        now = time.monotonic()
        for file in list(self.activity.files.values()):
            who = f"{file.caller}{_command(file.caller.process)}"
            age = now - file.opened
            path = printable(file.node.where())
            yield f"inode {file.node.ino}: {path}, opened by {who}, {age:.1f} s ago"

    def _calls(self) -> Iterator[tuple[str, object]]:
        for call in self.activity.calls:
            caller = call.find_caller()
            since = self._clock.current_time() - call.began
            who = f"{caller}{_command(caller.process)}"
            yield f"{call}, by {who}, for {since:.1f} s", call.handler


def _command(process: int) -> str:
    """What runs there, in brackets; nothing where it has gone."""
    try:
        name = Path(f"/proc/{process}/comm").read_text(errors="replace").removesuffix("\n")
        return f" ({printable(name)})"
    except OSError:
        return ""
