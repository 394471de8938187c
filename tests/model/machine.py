"""Random calls on a mount and on its model, which must agree in every answer and in every effect.

What agreeing is, is told in `comparison`.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
)

from tests.model.choices import (
    ACCESS,
    CREATION,
    FILES,
    JOBS,
    MANNER,
    MODES,
    NAMES,
    NEW_JOBS,
    OFFSETS,
    PLACES,
    SIZES,
    WAYS,
    data,
)
from tests.model.comparison import Comparison, Descriptor, Outcome, agree, outcome
from tests.model.files import Execution
from tests.model.worker import Worker

Place = int | tuple[int] | None


class MountMachine(Comparison):
    """Every rule makes one call. Descriptors that a restart has closed are passed over."""

    descriptors: Bundle[Descriptor] = Bundle("descriptors")

    def teardown(self) -> None:
        """In the end all is closed, and all that can be started is."""
        if sys.exc_info()[0] is not None:  # one difference is enough
            return
        for name in list(self.model.executions):
            self.start(name, "truncate", tidy=True)
        self.check_list()

    def job(self, which: int | str) -> str:
        """The name of an execution."""
        there = list(self.model.executions)
        return there[which % len(there)] if isinstance(which, int) and there else str(which)

    def file(self, job: int | str, which: int | str) -> tuple[str, str]:
        """The names of an execution and of a file in its `input/`."""
        job = self.job(job)
        execution = self.model.executions.get(job)
        there = list(execution.files) if execution else []
        return job, there[which % len(there)] if isinstance(which, int) and there else str(which)

    def some(self, *statuses: str) -> bool:
        """Whether some execution has one of these."""
        return any(each.status in statuses for each in self.model.executions.values())

    # ── executions/ ──────────────────────────────────────────────────────────────────────────

    @initialize(target=descriptors, flags=st.sampled_from([os.O_WRONLY, os.O_RDWR]))
    def begin(self, flags: int) -> Any:
        """Two executions, and an input that is open."""
        self.mkdir("a")
        self.mkdir("b")
        return self.open_input(0, "coords", flags, os.O_CREAT, 0)

    @rule(name=NEW_JOBS)
    def mkdir(self, name: str) -> None:
        expected = outcome(self.model.mkdir, name)
        made = expected[1] if expected[0] == "value" else None
        self.same(expected if made is None else ("value", None), "mkdir", self.site.path(name))
        if isinstance(made, Execution):
            made.id = self.site.call("content", self.site.path(name, "id")).strip()
            assert made.id in self.site.service.executions
        self.check_list()
        self.check_execution(name)

    @rule(job=JOBS)
    def rmdir(self, job: int | str) -> None:
        name = self.job(job)
        self.same(outcome(self.model.rmdir, name), "rmdir", self.site.path(name))
        self.check_list()
        self.check_requests()

    @rule(job=JOBS, new=NEW_JOBS)
    def mv(self, job: int | str, new: str) -> None:
        old = self.job(job)
        paths = self.site.path(old), self.site.path(new)
        self.same(outcome(self.model.mv, old, new), "rename", *paths)
        self.check_list()
        self.check_execution(new)

    # ── input/, by name ──────────────────────────────────────────────────────────────────────

    @rule(target=descriptors, job=JOBS, name=NAMES, access=ACCESS, creation=CREATION, manner=MANNER)
    def open_input(self, job: int | str, name: str, access: int, creation: int, manner: int) -> Any:
        job = self.job(job)
        flags = access | creation | (0 if access == os.O_RDONLY else manner)
        expected = outcome(self.model.open, job, name, flags)
        actual = outcome(self.site.call, "open", self.site.path(job, "input", name), flags, 0o600)
        if expected[0] == "error":
            agree(actual, expected, ("open", job, name, flags))
            return multiple()
        agree(actual[0], "value", ("open", job, name, flags))
        self.open[actual[1]] = expected[1]
        self.check_execution(job)
        return actual[1], expected[1]

    @rule(job=JOBS, name=NAMES, data=data())
    def copy(self, job: int | str, name: str, data: bytes) -> None:
        """As `cp` does."""
        opened = self.open_input(job, name, os.O_WRONLY, os.O_CREAT, os.O_TRUNC)
        if isinstance(opened, tuple):
            self.write(opened, data, None)
            self.close(opened)

    @rule(job=JOBS, file=FILES, size=SIZES)
    def truncate(self, job: int | str, file: int | str, size: int) -> None:
        job, name = self.file(job, file)
        path = self.site.path(job, "input", name)
        self.same(outcome(self.model.truncate, job, name, size), "truncate", path, size)
        self.check_execution(job)

    @rule(job=JOBS, file=FILES)
    def unlink(self, job: int | str, file: int | str) -> None:
        job, name = self.file(job, file)
        path = self.site.path(job, "input", name)
        self.same(outcome(self.model.unlink, job, name), "unlink", path)
        self.check_execution(job)

    @rule(job=JOBS, file=FILES, other=st.none() | st.none() | JOBS, new=NAMES)
    def rename(self, job: int | str, file: int | str, other: int | str | None, new: str) -> None:
        job, old = self.file(job, file)
        other = job if other is None else self.job(other)
        paths = self.site.path(job, "input", old), self.site.path(other, "input", new)
        self.same(outcome(self.model.rename, job, old, other, new), "rename", *paths)
        self.check_execution(job)

    @rule(job=JOBS, file=FILES, mode=MODES)
    def chmod(self, job: int | str, file: int | str, mode: int) -> None:
        job, name = self.file(job, file)
        path = self.site.path(job, "input", name)
        self.same(outcome(self.model.chmod, job, name, mode), "chmod", path, mode)
        self.check_execution(job)

    @rule(job=JOBS, name=NAMES, data=data(), offset=OFFSETS)
    def kill_a_writer(self, job: int | str, name: str, data: bytes, offset: int) -> None:
        job = self.job(job)
        flags = os.O_WRONLY | os.O_CREAT
        expected = outcome(self.model.open, job, name, flags)
        worker = Worker()
        path = self.site.path(job, "input", name)
        actual = outcome(worker.call, "open", path, flags, 0o600)
        agree(actual[0], expected[0], path)
        if expected[0] == "value":
            self.model.pwrite(expected[1], data, offset)
            worker.call("pwrite", actual[1], data.decode("latin-1"), offset)
        worker.kill()
        if expected[0] == "value":
            self.model.killed(expected[1])
        self.check_execution(job)

    # ── Open files ───────────────────────────────────────────────────────────────────────────

    @rule(descriptor=descriptors, size=SIZES, place=PLACES)
    def read(self, descriptor: Descriptor, size: int, place: Place) -> None:
        if isinstance(place, int):
            self.on(descriptor, self.model.pread, "pread", size, place)
        else:
            self.seek(descriptor, place)
            self.on(descriptor, self.model.read, "read", size)

    @rule(descriptor=descriptors, data=data(), place=PLACES)
    def write(self, descriptor: Descriptor, data: bytes, place: Place) -> None:
        if isinstance(place, int):
            self.on(descriptor, self.model.pwrite, "pwrite", data, place)
        else:
            self.seek(descriptor, place)
            self.on(descriptor, self.model.write, "write", data)

    def seek(self, descriptor: Descriptor, place: tuple[int] | None) -> None:
        if place is not None:
            self.on(descriptor, self.model.seek, "seek", *place)

    @rule(descriptor=descriptors, size=SIZES)
    def ftruncate(self, descriptor: Descriptor, size: int) -> None:
        self.on(descriptor, self.model.ftruncate, "ftruncate", size)

    @rule(target=descriptors, descriptor=descriptors)
    def dup(self, descriptor: Descriptor) -> Any:
        number, handle = descriptor
        if self.open.get(number) is not handle:
            return multiple()
        number = self.site.call("dup", number)
        self.open[number] = self.model.dup(handle)
        return number, handle

    @rule(descriptor=consumes(descriptors))
    def close(self, descriptor: Descriptor) -> None:
        self.close_one(*descriptor)

    # ── Jobs ─────────────────────────────────────────────────────────────────────────────────

    @rule(name=NEW_JOBS, data=data(), way=WAYS)
    def run(self, name: str, data: bytes, way: str) -> None:
        """A new execution, with an input, on its way."""
        self.mkdir(name)
        self.copy(name, "coords", data)
        self.start(name, way, tidy=False)

    @rule(job=JOBS, way=WAYS, tidy=st.booleans())
    def start(self, job: int | str, way: str, tidy: bool) -> None:
        """`tidy`: all that is open there is closed before."""
        job = self.job(job)
        if tidy:
            self.close_all(self.model.executions.get(job))
        actual = outcome(self.site.call, "act", self.site.path(job, "start"), way)
        reasons = [errno.errorcode[number] for number in self.model.start(job, way)]
        expected: list[Outcome] = [("error", reason) for reason in reasons] or [("value", None)]
        assert actual in expected, f"start gave {actual}, the model says {expected}"
        self.check_execution(job)

    @rule(job=JOBS, way=WAYS)
    def stop(self, job: int | str, way: str) -> None:
        job = self.job(job)
        path = self.site.path(job, "stop")
        self.same(outcome(self.model.stop, job), "act", path, way)
        self.check_execution(job)

    @rule(
        job=JOBS,
        reason=st.sampled_from(["normal", "time-limit"]),
        result=st.text("01\n", max_size=9),
    )
    def end(self, job: int | str, reason: str, result: str) -> None:
        """Its program ends, and the mount notices."""
        job = self.job(job)
        execution = self.model.executions.get(job)
        if execution is not None and execution.status == "running":
            execution.status, execution.end_reason = "ended", reason
            execution.outputs = {"result": result.encode()}
            self.site.service.executions[execution.id].end(reason, **execution.outputs)
            self.site.status_becomes(job, "ended")
            self.check_execution(job)

    @precondition(lambda self: self.some("running", "ended"))
    @rule(job=JOBS, text=st.sampled_from(["one\n", "half a li", "ne\n"]))
    def log(self, job: int | str, text: str) -> None:
        """Its program prints; what the mount shows may be a moment old until it has ended."""
        job = self.job(job)
        execution = self.model.executions.get(job)
        if execution is None:
            self.same(("error", "ENOENT"), "content", self.site.path(job, "log"))
            return
        if execution.status == "running":
            execution.log += text.encode()
            self.site.service.executions[execution.id].log = execution.log
        seen = self.site.call("content", self.site.path(job, "log"))
        whole = execution.log.decode()
        agree(seen, whole if execution.status == "ended" else whole[: len(seen)], "log")

    @precondition(lambda self: self.some("ended"))
    @rule(job=JOBS)
    def wait(self, job: int | str) -> None:
        job = self.job(job)
        execution = self.model.executions.get(job)
        if execution is None or execution.status != "running":
            self.same(outcome(self.model.wait, job), "content", self.site.path(job, "wait"))

    @precondition(lambda self: self.some("ended"))
    @rule(job=JOBS, name=st.sampled_from(["status", "start", "wait", "log", "output/result"]))
    def remove_in_vain(self, job: int | str, name: str) -> None:
        """What lets `rm -r` reach the final rmdir."""
        job = self.job(job)
        execution = self.model.executions.get(job)
        there = execution is not None and (name != "output/result" or execution.outputs)
        expected = ("value", None) if there else ("error", "ENOENT")
        self.same(expected, "unlink", self.site.path(job, name))
        self.check_execution(job)

    @rule(accepting=st.sampled_from([True, True, False]))
    def accept_uploads(self, accepting: bool) -> None:
        self.model.accepting = self.site.service.accepting = accepting
