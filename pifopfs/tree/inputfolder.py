"""The inputs of one execution: what is there, what was withdrawn, and whether `start` may run."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from pifopfs.errors import (
    AccessNotAllowed,
    InputOpen,
    InputUndeclared,
    InputWithdrawn,
    NameTaken,
    NoSuchName,
    PifopfsError,
)
from pifopfs.tree.execution import Execution
from pifopfs.tree.inputs import Input
from pifopfs.tree.inputstates import InputEvent, InputState, after
from pifopfs.tree.layout import is_temporary
from pifopfs.tree.remote import Remote
from pifopfs.tree.staged import StagedFile
from pifopfs.tree.storage import translated
from pifopfs.tree.writer import Writer

log = logging.getLogger(__name__)


class InputFolder:
    """The files of `input/`, staged in `folder` under numbers.

    Invariant: a recorded input has its staged file; a file without a record is nobody's.
    """

    def __init__(self, execution: Execution, folder: Path, next_ino: Callable[[], int]) -> None:
        self._execution = execution
        self._folder = folder
        self._next_ino = next_ino
        self._inputs: dict[str, Input] = {}
        self._remotes: dict[str, Remote] = {}
        with translated("input"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._load()

    def _load(self) -> None:
        """Take up what an earlier mount recorded. Its unfinished writes are torn."""
        names, serial = self._execution.shared.names, self._execution.serial
        staged = {path.name: path for path in self._folder.iterdir() if path.name.isdecimal()}
        for name in names.uploaded(serial):
            self._remote(name).known = True
        self._numbers = count(max((int(number) for number in staged), default=0) + 1)
        for row in names.inputs(serial):
            path = staged.pop(str(row.number), None)
            if path is None:
                log.error("the bytes of input %s of %s are lost", row.name, self._execution.name)
                names.drop_input(serial, row.name)
                continue
            file = self._new(row.name, row.number)
            file.state, file.mode, file.uid, file.gid = (
                InputState(row.state), row.mode, row.uid, row.gid,
            )  # fmt: skip
            self._inputs[row.name] = file
            if file.state in (InputState.WRITING, InputState.FLUSHED):
                file.happen(InputEvent.CUT)
            file.sync_soon()
        for path in staged.values():  # unlinked, or not yet recorded, when the daemon died
            path.unlink()

    def _new(self, name: str, number: int) -> Input:
        staged = StagedFile(self._folder / str(number))
        return Input(self._remote(name), number, self._next_ino(), staged)

    def _remote(self, name: str) -> Remote:
        return self._remotes.setdefault(name, Remote(self._execution, name))

    def __iter__(self) -> Iterator[Input]:
        return iter(list(self._inputs.values()))

    def get(self, name: str) -> Input:
        """Raises NoSuchName."""
        try:
            return self._inputs[name]
        except KeyError:
            raise NoSuchName(f"input/{name}") from None

    def check_writable(self) -> None:
        """Raises Terminated, AccessNotAllowed after the start, InputOpen during it."""
        self._execution.check_alive()
        if not self._execution.pending:
            raise AccessNotAllowed("input", "inputs are accepted only before the start")
        if self._execution.starting:
            raise InputOpen("input", "the execution is being started")

    def create(self, name: str, mode: int, *, writing: bool) -> tuple[Input, Writer | None]:
        """A new, empty input with a handle. Raises as `check_writable`, or NameTaken."""
        self.check_writable()
        if name in self._inputs:
            raise NameTaken(f"input/{name}")
        file = self._new(name, next(self._numbers))
        file.mode = None if mode & 0o700 == 0o600 else mode & 0o777
        with self._execution.noted(file.upload_name):
            writer = file.open(writing=writing, create=True)
            try:
                file.record()
                if writer is None:
                    file.closed()
            except PifopfsError:
                file.staged.close()
                file.staged.remove()
                raise
        self._inputs[name] = file
        self._execution.input_changes += 1
        return file, writer

    def unlink(self, name: str) -> None:
        """Remove an input. One that the service has is withdrawn while pending."""
        file = self.get(name)
        self._execution.shared.names.drop_input(self._execution.serial, name)
        del self._inputs[name]
        self._execution.input_changes += 1
        file.staged.remove()

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Give an input another name; one that becomes a declared input is then uploaded.

        Raises as `check_writable`, NoSuchName, or NameTaken where it may not replace.
        """
        self.check_writable()
        file, target = self.get(old), self._inputs.get(new)
        if target is file:
            return
        if target is not None and not replace:
            raise NameTaken(f"input/{new}")
        state = after(file.state, InputEvent.RENAMED)
        self._execution.shared.names.rename_input(self._execution.serial, old, new, state)
        if target is not None:
            target.staged.remove()
        self._execution.input_changes += 1
        del self._inputs[old]
        self._inputs[new] = file
        file.remote, file.state, file.failure = self._remote(new), state, None
        file.upload_soon()

    # ── Start ────────────────────────────────────────────────────────────────────────────────

    async def upload_lacking(self) -> None:
        """Upload every declared input that the service lacks and nobody writes.

        Raises the first failure, after all have been tried.
        """
        first: PifopfsError | None = None
        for file in self:
            if file.declared and file.lacking:
                try:
                    await file.upload()
                except PifopfsError as error:
                    first = first or error
        for remote in self._withdrawn():  # what is still on its way may come to nothing
            async with remote.uploading:
                pass
        if first is not None:
            raise first.with_traceback(None)

    def _withdrawn(self) -> list[Remote]:
        """What the service may have and nobody wants: the API cannot forget it."""
        return [
            remote
            for name, remote in sorted(self._remotes.items())
            if remote.known and name not in self._inputs
        ]

    def check_startable(self) -> None:
        """Raises what keeps `start` from running: see `pifopfs.errors`, Input…, or a failure."""
        for file in self:
            if file.declared:
                file.check_complete()
            elif not is_temporary(file.name):
                raise InputUndeclared(f"input/{file.name}")
        for remote in self._withdrawn():
            raise InputWithdrawn(f"input/{remote.name}")

    def check_sent(self) -> None:
        """Raises InputOpen where the service still lacks something: written during the commit."""
        for file in self:
            if file.declared and file.state is not InputState.SENT:
                raise InputOpen(f"input/{file.name}")

    def die(self) -> None:
        """The execution was terminated: the local bytes go, open handles keep theirs."""
        for file in self:
            file.staged.remove()
        self._inputs.clear()
        try:
            shutil.rmtree(self._folder)
        except OSError as error:
            log.warning("%s cannot be removed: %s", self._folder, error)
