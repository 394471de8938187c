"""The inputs of one execution: what is there, what was withdrawn, and whether `start` may run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
from pifopfs.tree.inputstates import InputEvent, InputState
from pifopfs.tree.layout import is_temporary
from pifopfs.tree.names import InputRow
from pifopfs.tree.storage import translated

WITHDRAWN = "withdrawn"
"""The recorded state of an input that was removed here but that the service cannot forget."""


class InputFolder:
    """The files of `input/`, staged in `folder`."""

    def __init__(self, execution: Execution, folder: Path, next_ino: Callable[[], int]) -> None:
        self._execution = execution
        self._folder = folder
        self._next_ino = next_ino
        self._inputs: dict[str, Input] = {}
        self._withdrawn: set[str] = set()
        with translated("input"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._load()

    def _load(self) -> None:
        """Take up what an earlier mount recorded. Its unfinished writes are torn."""
        names = self._execution.shared.names
        staged = set(os.listdir(self._folder))  # noqa: PTH208
        for row in names.inputs(self._execution.serial):
            if row.state == WITHDRAWN:
                self._withdrawn.add(row.name)
            elif row.name in staged:
                staged.discard(row.name)
                file = self._new(row.name, InputState(row.state), known=row.known)
                file.mode, file.uid, file.gid = row.mode, row.uid, row.gid
                if file.state is InputState.WRITING:
                    file.happen(InputEvent.CUT)
            else:
                self._drop(row.name, known=row.known)
        for name in staged:  # created, but the daemon died before the record said so
            (self._folder / name).unlink()

    def _new(self, name: str, state: InputState, *, known: bool) -> Input:
        path, ino = self._folder / name, self._next_ino()
        file = Input(self._execution, name, path, ino, state, known)
        self._inputs[name] = file
        return file

    def _drop(self, name: str, *, known: bool) -> None:
        """The name is no file any more; what the service knows of stays withdrawn."""
        names, serial = self._execution.shared.names, self._execution.serial
        if known:
            self._withdrawn.add(name)
            names.put_input(serial, InputRow(name, WITHDRAWN, known=True))
        else:
            self._withdrawn.discard(name)
            names.drop_input(serial, name)

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

    def create(self, name: str, mode: int) -> Input:
        """A new, empty input. Raises as `check_writable`, or NameTaken."""
        self.check_writable()
        if name in self._inputs:
            raise NameTaken(f"input/{name}")
        known = name in self._withdrawn
        self._withdrawn.discard(name)
        file = self._new(name, InputState.WRITING, known=known)
        file.mode = None if mode & 0o600 == 0o600 else mode & 0o777
        file.record()
        return file

    def unlink(self, name: str) -> None:
        """Remove an input. While pending, one that the service has is withdrawn."""
        file = self.get(name)
        self._remove(file)
        if self._execution.pending:
            self._drop(name, known=file.known)
        else:
            self._drop(name, known=False)

    def _remove(self, file: Input) -> None:
        file.removed = True
        del self._inputs[file.name]
        with translated(f"input/{file.name}"):
            file.path.unlink(missing_ok=True)

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
        known = new in self._withdrawn or (target is not None and target.known)
        with translated(f"input/{new}"):
            file.path.replace(self._folder / new)
        if target is not None:
            target.removed = True
        del self._inputs[old]
        self._drop(old, known=file.known)
        self._take_name(file, new, known=known)

    def _take_name(self, file: Input, name: str, *, known: bool) -> None:
        file.name, file.path, file.known = name, self._folder / name, known
        file.failure = None
        self._withdrawn.discard(name)
        self._inputs[name] = file
        file.happen(InputEvent.RENAMED)
        file.record()
        if file.lacking:
            self._execution.shared.background.start(file.upload_kept)

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
        if first is not None:
            raise first.with_traceback(None)

    def check_startable(self) -> None:
        """Raises what keeps `start` from running: see `pifopfs.errors`, Input…, or a failure."""
        for file in self:
            if file.declared:
                file.check_complete()
            elif not is_temporary(file.name):
                raise InputUndeclared(f"input/{file.name}")
        for name in sorted(self._withdrawn):
            raise InputWithdrawn(f"input/{name}")

    def check_sent(self) -> None:
        """Raises InputOpen where the service still lacks something: written during the commit."""
        for file in self:
            if file.declared and file.state is not InputState.SENT:
                raise InputOpen(f"input/{file.name}")

    def die(self) -> None:
        """The execution was terminated: the local bytes go, open handles keep theirs."""
        for file in self:
            self._remove(file)
        with translated("input"):
            for leftover in self._folder.iterdir():
                leftover.unlink()
            self._folder.rmdir()
