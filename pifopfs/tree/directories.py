"""The directories, from the root down."""

from __future__ import annotations

import os
from collections.abc import Iterable
from stat import S_IFDIR, S_IFLNK

from pifopfs.errors import (
    AccessNotAllowed,
    IsADirectory,
    NoSuchName,
    NotADirectory,
    OperationNotPermitted,
    OtherDirectory,
)
from pifopfs.tree.executions import Executions
from pifopfs.tree.files import FILES, FunctionFile
from pifopfs.tree.job import Job
from pifopfs.tree.layout import (
    DIRECTORY_SLOT,
    EXECUTION_ID,
    EXECUTIONS_INO,
    FIXED,
    ROOT_INO,
    check_name,
)
from pifopfs.tree.nodes import Attributes, Directory, Handle, Node, writes
from pifopfs.tree.transfers import InputFile, InputHandle, OutputFile

ALIAS_SLOT = 63


class Root(Directory):
    """The mountpoint."""

    __slots__ = ("_children", "_hidden", "_mounted_ns")

    def __init__(
        self, function: FunctionFile, executions: ExecutionsDirectory, hidden: Node | None = None
    ) -> None:
        """`hidden` is there by its name, and not listed."""
        super().__init__(ROOT_INO, "/")
        self._children: dict[str, Node] = {"function.json": function, "executions": executions}
        self._hidden = hidden
        self._mounted_ns = function.attributes().mtime_ns

    def attributes(self) -> Attributes:
        return Attributes(self.ino, S_IFDIR | 0o555, 0, self._mounted_ns)

    async def lookup(self, name: str) -> Node:
        if self._hidden is not None and name == self._hidden.name:
            return self._hidden
        try:
            return self._children[name]
        except KeyError:
            raise NoSuchName(name) from None

    async def entries(self) -> Iterable[tuple[str, Node]]:
        return self._children.items()


class Alias(Node):
    """`exec_…`, where the execution has a name here: a symbolic link to it."""

    __slots__ = ("_job",)

    def __init__(self, job: Job) -> None:
        super().__init__(job.ino(ALIAS_SLOT), job.execution.id)
        self._job = job

    def attributes(self) -> Attributes:
        size = len(os.fsencode(self.target()))
        return Attributes(self.ino, S_IFLNK | 0o777, size, self._job.execution.created_ns)

    def target(self) -> str:
        return self._job.execution.name


class ExecutionsDirectory(Directory):
    """`executions/`."""

    __slots__ = ("_executions",)

    def __init__(self, executions: Executions) -> None:
        super().__init__(EXECUTIONS_INO, "executions")
        self._executions = executions

    def attributes(self) -> Attributes:
        return Attributes(self.ino, S_IFDIR | 0o777, 0, self._executions.changed_ns)

    def find(self, name: str) -> Node:
        """One that has a name here. Raises NoSuchName."""
        return ExecutionDirectory(self._executions.get(name))

    async def lookup(self, name: str) -> Node:
        check_name(name)
        job = self._executions.find(name)
        if job is not None:
            return ExecutionDirectory(job)
        if not EXECUTION_ID.fullmatch(name):
            raise NoSuchName(f"executions/{name}")
        job = self._executions.by_id(name)
        if job is not None:
            return Alias(job)
        return ExecutionDirectory(await self._executions.adopt(name))

    async def entries(self) -> Iterable[tuple[str, Node]]:
        return [(job.execution.name, ExecutionDirectory(job)) for job in self._executions]

    async def mkdir(self, name: str) -> Node:
        return ExecutionDirectory(await self._executions.create(name))

    async def rmdir(self, name: str) -> None:
        await self._executions.terminate(name)

    async def unlink(self, name: str) -> None:
        if self._executions.find(name) is None and self._executions.by_id(name) is not None:
            raise OperationNotPermitted(f"executions/{name}", "it is a link to the execution")
        self._executions.get(name)
        raise IsADirectory(f"executions/{name}")

    async def rename(self, name: str, target: Directory, new: str, *, replace: bool) -> None:
        if target is not self and target.ino != self.ino:
            raise OperationNotPermitted(name, "an execution is renamed within executions")
        self._executions.rename(name, new)


class JobDirectory(Directory):
    """A directory of one execution. Once that is terminated it is empty."""

    __slots__ = ("job",)

    def __init__(self, job: Job, slot: int, name: str) -> None:
        super().__init__(job.ino(slot), name)
        self.job = job

    def _check(self) -> None:
        if self.job.execution.dead:
            raise NoSuchName(self.name, "the execution was terminated")

    async def rename(self, name: str, target: Directory, new: str, *, replace: bool) -> None:
        """A file cannot be renamed to another directory, so that `mv` copies it."""
        child = await self.lookup(name)
        if isinstance(child, Directory) or target.ino == self.ino:
            raise OperationNotPermitted(name, "it cannot be renamed")
        raise OtherDirectory(name)


class ExecutionDirectory(JobDirectory):
    """`executions/NAME`."""

    __slots__ = ()

    def __init__(self, job: Job) -> None:
        super().__init__(job, DIRECTORY_SLOT, job.execution.name)

    def attributes(self) -> Attributes:
        return Attributes(self.ino, S_IFDIR | 0o777, 0, self.job.execution.created_ns)

    def _child(self, name: str) -> Node:
        if name == "input":
            return InputDirectory(self.job)
        if name == "output":
            return OutputDirectory(self.job)
        return FILES[name](self.job, name)

    async def lookup(self, name: str) -> Node:
        self._check()
        if name not in FIXED:
            raise NoSuchName(name)
        return self._child(name)

    async def entries(self) -> Iterable[tuple[str, Node]]:
        self._check()
        return [(name, self._child(name)) for name, fixed in FIXED.items() if fixed.listed]

    async def unlink(self, name: str) -> None:
        """Succeeds without effect, which lets `rm -r` reach the final rmdir."""
        child = await self.lookup(name)
        if isinstance(child, Directory):
            raise IsADirectory(name)

    async def rmdir(self, name: str) -> None:
        """Succeeds without effect, as `unlink`."""
        child = await self.lookup(name)
        if not isinstance(child, Directory):
            raise NotADirectory(name)
        self.job.renew(FIXED[name].slot)


class InputDirectory(JobDirectory):
    """`input/`."""

    __slots__ = ()

    def __init__(self, job: Job) -> None:
        super().__init__(job, FIXED["input"].slot, "input")

    def attributes(self) -> Attributes:
        return Attributes(self.ino, FIXED["input"].mode, 0, self.job.execution.created_ns)

    async def lookup(self, name: str) -> Node:
        self._check()
        check_name(name)
        return InputFile(self.job, self.job.inputs.get(name))

    async def entries(self) -> Iterable[tuple[str, Node]]:
        self._check()
        return [(file.name, InputFile(self.job, file)) for file in self.job.inputs]

    async def create(self, name: str, mode: int, flags: int) -> tuple[Node, Handle]:
        self._check()
        check_name(name)
        file, writer = self.job.inputs.create(name, mode, writing=writes(flags))
        return InputFile(self.job, file), InputHandle(file, writer, flags)

    async def unlink(self, name: str) -> None:
        self._check()
        self.job.inputs.unlink(name)

    async def rename(self, name: str, target: Directory, new: str, *, replace: bool) -> None:
        self._check()
        check_name(new)
        if not isinstance(target, InputDirectory) or target.job is not self.job:
            raise OtherDirectory(name)
        self.job.inputs.rename(name, new, replace=replace)


class OutputDirectory(JobDirectory):
    """`output/`: empty until the end."""

    __slots__ = ()

    def __init__(self, job: Job) -> None:
        super().__init__(job, FIXED["output"].slot, "output")

    def attributes(self) -> Attributes:
        execution = self.job.execution
        mtime_ns = execution.ended_ns or execution.created_ns
        return Attributes(self.ino, FIXED["output"].mode, 0, mtime_ns)

    async def lookup(self, name: str) -> Node:
        self._check()
        check_name(name)
        if not self.job.execution.ended:
            await self.job.execution.look()
        return OutputFile(self.job, self.job.outputs.get(name))

    async def entries(self) -> Iterable[tuple[str, Node]]:
        self._check()
        execution = self.job.execution
        if not execution.ended and not execution.pending:
            await execution.look()
        return [(output.name, OutputFile(self.job, output)) for output in self.job.outputs]

    async def create(self, name: str, mode: int, flags: int) -> tuple[Node, Handle]:
        raise AccessNotAllowed(f"output/{name}", "outputs come from the service")

    async def unlink(self, name: str) -> None:
        """Succeeds: the cached bytes go, the output stays."""
        self._check()
        self.job.outputs.get(name).drop()
