"""One transfer of one output into a spool file, read by any number of handles while it grows.

A download never mixes two answers: where it fails, its handles fail, and the next open begins a
new one.
"""

from __future__ import annotations

import os

import trio

from pifopfs.errors import OutputChanged, PifopfsError, Terminated
from pifopfs.tree.cache import Key
from pifopfs.tree.execution import Execution
from pifopfs.tree.storage import translated


class Download:
    """Invariant: the first `received` bytes of the spool file are the output's."""

    def __init__(self, execution: Execution, output: str, key: Key, expected: int | None) -> None:
        self._execution = execution
        self._output = output
        self._key = key
        self._scope = trio.CancelScope()
        self._progress = trio.Event()
        self._file, self._path = execution.shared.cache.spool(output)
        self.length = expected
        """Bytes in all, as announced before the transfer or by it; None while not known."""
        self.received = 0
        self.complete = False
        self.error: PifopfsError | None = None
        self.begun = False
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

    async def read(self, offset: int, size: int) -> bytes:
        """Exactly the bytes asked for, fewer only at the end of the output. Raises its error."""
        self.begin()
        while not self.complete and self.received < offset + size:
            await self._more()
        with translated(self._output):
            return os.pread(self._file, size, offset)

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
            if self.begun and not self.complete and self.error is None:
                self._scope.cancel()
            else:
                self._close()

    # ── The transfer ─────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Start the transfer, once."""
        if not self.begun:
            self.begun = True
            self._execution.shared.background.start(self._run)

    async def _run(self) -> None:
        try:
            with self._scope, self._execution.attempt(f"download of output {self._output}"):
                await self._transfer()
        except PifopfsError as error:
            self.error = Terminated(self._output) if self._execution.dead else error
        finally:
            if not self.complete and self.error is None:
                self.error = Terminated(self._output, "the download was given up")
            self._notify()
            if self.readers == 0:
                self._close()

    async def _transfer(self) -> None:
        execution = self._execution
        async with execution.shared.client.output(execution.id, self._output) as stream:
            if stream.length is not None:
                self._settle(stream.length)
            async for chunk in stream:
                execution.check_alive()
                self._store(chunk)
        self._settle(self.received)
        execution.shared.cache.complete(self._key, self._path, self.received)
        self.complete = True
        execution.shared.background.start_to_finish(execution.shared.cache.settle, self._key)

    def _settle(self, length: int) -> None:
        """The length is known now. Raises OutputChanged where another one was announced."""
        if self.length is not None and self.length != length:
            announced, self.length = self.length, length
            raise OutputChanged(
                f"output/{self._output}", f"{announced} bytes were announced, {length} came"
            )
        self.length = length
        self._notify()

    def _store(self, chunk: bytes) -> None:
        if self.length is not None and self.received + len(chunk) > self.length:
            raise OutputChanged(
                f"output/{self._output}", f"{self.length} bytes were announced, more came"
            )
        view = memoryview(chunk)
        with translated(self._output):
            while view:
                written = os.pwrite(self._file, view, self.received)
                self.received += written
                view = view[written:]
        self._notify()

    def _notify(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    def end(self) -> None:
        """The execution was terminated: an unfinished transfer fails for its readers."""
        if self.begun and not self.complete:
            self._scope.cancel()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            if not self.complete:
                self._path.unlink(missing_ok=True)
