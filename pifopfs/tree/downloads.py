"""The bytes of one output, brought here as they are read, for any number of handles.

Who reads from the beginning gets one transfer of all of it. Who reads elsewhere gets small parts,
where the service can send parts of what is surely the same output; and who goes on reading behind
such a part, the rest. A download never mixes two answers that may be of different outputs: where it
fails, its handles fail, and the next open begins a new one.
"""

from __future__ import annotations

import os

import trio

from pifopfs.api import Head, Incoming, Span
from pifopfs.errors import OutputChanged, PifopfsError, Terminated
from pifopfs.tree.cache import Key
from pifopfs.tree.coverage import Coverage
from pifopfs.tree.execution import Execution
from pifopfs.tree.fetch import Fetch
from pifopfs.tree.storage import read_at, translated

PART = 256 << 10
"""Bytes that are asked for where somebody reads here and there."""
NEAR = 4 << 20
"""Bytes before which a transfer is waited for, rather than asking for a part."""
AHEAD = 2 << 20
"""Bytes behind those that are read which are waited for, too."""
MOMENT = 0.004
"""Seconds for which they are."""
GLANCE = 4 << 20
"""Who has read no more than this of a transfer may have wanted no more."""


class Download:
    """Its file has what `_there` says, and what its transfers have brought."""

    def __init__(self, execution: Execution, output: str, key: Key, head: Head) -> None:
        """`head`: what the service has told of it, where it has told anything."""
        self._execution = execution
        self._output = output
        self._key = key
        self._head = head
        self._there = Coverage()
        self._fetches: list[Fetch] = []
        self._progress = trio.Event()
        self._file, self._path = execution.shared.cache.spool(output)
        self.length = head.length
        """Bytes in all, as announced before the transfer or by it; None while not known."""
        self.complete = False
        self.error: PifopfsError | None = None
        self.readers = 0

    # ── Reading ──────────────────────────────────────────────────────────────────────────────

    async def know_length(self) -> int:
        """The length: announced, the answer's, or known at its end. Raises what ended it."""
        while self.length is None:
            self.begin()
            await self._more()
        return self.length

    async def ended(self) -> None:
        """Return when it is complete, or has failed."""
        self.begin()
        while not self.complete and self.error is None:
            await self._progress.wait()

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        """Exactly the bytes asked for, fewer only at the end of the output. Raises its error."""
        end = min(offset + size, await self.know_length())
        while not self.complete and (missing := self._there.end_from(offset)) < end:
            self.check()
            fetch = self._fetch_for(missing)
            wanted = end if fetch.end is None else min(end, fetch.end)
            if not fetch.want(wanted):
                await self._wait(fetch, wanted)
            self._there.add(fetch.start, fetch.position)
        with translated(self._output):
            return read_at(self._file, size, offset)

    def read_at_once(self, offset: int, size: int) -> bytes | memoryview | None:
        """As `read`, None where the bytes are not there yet or something is the matter."""
        if self.error is not None or self._there.end_from(offset) < offset + size:
            return None
        try:
            return read_at(self._file, size, offset)
        except OSError:
            return None

    async def _wait(self, fetch: Fetch, offset: int) -> None:
        """Wait until a transfer has come to an offset, or for other news of the download.

        Where it comes fast, it is as well to wait for a little more: the next reads need not wait.
        """
        ahead = offset + AHEAD if fetch.end is None else min(offset + AHEAD, fetch.end)
        with trio.move_on_after(MOMENT):
            if not fetch.want(ahead):
                await self._progress.wait()
            return
        if not fetch.want(offset):
            await self._progress.wait()

    async def _more(self) -> None:
        self.check()
        await self._progress.wait()

    def check(self) -> None:
        """Raises what ended it."""
        if self.error is not None:
            raise self.error.with_traceback(None)

    def leave(self) -> None:
        """A reader is gone; with the last one a transfer that is not complete is given up."""
        self.readers -= 1
        if self.readers == 0:
            self.end()
            self._close_unused()

    # ── Transfers ────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Start the transfer of all of it, once."""
        if not self._fetches and not self.complete and self.error is None:
            self._start(None)

    def _fetch_for(self, offset: int) -> Fetch:
        """The transfer that brings the byte at an offset: one under way, or one begun now."""
        for fetch in self._fetches:
            near = not self._divisible or offset - fetch.position <= NEAR
            if fetch.start <= offset and (fetch.end is None or offset < fetch.end) and near:
                return fetch
        if not self._divisible or offset == 0:
            return self._start(None)
        self._give_up_glanced()
        return self._start(self._span(offset))

    @property
    def _divisible(self) -> bool:
        """Whether parts of it can be had that are surely of the same output."""
        return self._head.ranges and self._head.etag is not None and self._head.length is not None

    def _span(self, offset: int) -> Span:
        """From there on: the rest where somebody has read up to there, a part of it otherwise."""
        assert self.length is not None  # noqa: S101  # it is divisible
        starts = [fetch.start for fetch in self._fetches if fetch.start > offset]
        end = min([self._there.next_from(offset) or self.length, *starts])
        if not self._there.ends_at(offset):
            end = min(end, offset + PART)
        return Span(offset, end, self._head)

    def _give_up_glanced(self) -> None:
        """End transfers of which somebody has read the beginning, and then read elsewhere."""
        for fetch in self._fetches:
            if (fetch.end or 0) - fetch.start > PART and fetch.followed - fetch.start <= GLANCE:
                fetch.give_up()

    def _start(self, span: Span | None) -> Fetch:
        began = self._whole_began if span is None else self._part_began
        fetch = Fetch(
            self._execution, self._output, Incoming(self._file, began, self._notify), span
        )
        if span is None:
            fetch.end = self.length
        self._fetches.append(fetch)
        self._execution.shared.background.start(fetch.run, self._ended)
        return fetch

    def _part_began(self, _: Head) -> None:
        self._execution.check_alive()

    def _whole_began(self, head: Head) -> None:
        """Raises OutputChanged where it is not what was announced."""
        self._execution.check_alive()
        if self._head.etag not in (None, head.etag):
            raise OutputChanged(f"output/{self._output}", "it has changed since it was asked for")
        if head.length is not None:
            self._settle(head.length)
            self._head = head

    def _settle(self, length: int) -> None:
        """The length is known now. Raises OutputChanged where another one was announced."""
        if self.length is not None and self.length != length:
            announced, self.length = self.length, length
            raise OutputChanged(
                f"output/{self._output}", f"{announced} bytes were announced, {length} came"
            )
        self.length = length
        for fetch in self._fetches:
            fetch.end = length if fetch.is_whole else fetch.end
        self._notify()

    def _ended(self, fetch: Fetch, error: PifopfsError | None) -> None:
        self._fetches.remove(fetch)
        self._there.add(fetch.start, fetch.position)
        if error is None and not fetch.given_up:
            error = self._check(fetch)
        if error is not None and self.error is None:
            self.error = Terminated(self._output) if self._execution.dead else error
            self.end()
        self._notify()
        self._close_unused()

    def _check(self, fetch: Fetch) -> PifopfsError | None:
        """What is wrong with what it has brought; the output is complete where that was all."""
        try:
            with self._execution.noted(f"download of output {self._output}"):
                if fetch.is_whole:
                    self._settle(fetch.position)
                elif fetch.position != fetch.end:  # the mount is ending
                    raise Terminated(self._output, "the download was given up")
                if self._there.end_from(0) == self.length or self.length == 0:
                    self._complete(self.length)
        except PifopfsError as error:
            return error
        return None

    def _complete(self, length: int) -> None:
        cache, background = self._execution.shared.cache, self._execution.shared.background
        cache.complete(self._key, self._path, length)
        self.complete = True
        background.start_to_finish(cache.settle, self._key)

    def _notify(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    def end(self) -> None:
        """The execution was terminated, or nobody reads: what is under way fails."""
        if not self.complete and self.error is None and self._fetches:
            given_up = Terminated(self._output, "the download was given up")
            self.error = Terminated(self._output) if self._execution.dead else given_up
        for fetch in self._fetches:
            fetch.give_up()
        self._notify()

    def _close_unused(self) -> None:
        if self.readers == 0 and not self._fetches and self._file >= 0:
            os.close(self._file)
            self._file = -1
            if not self.complete:
                self._path.unlink(missing_ok=True)
