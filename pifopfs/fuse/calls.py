"""The calls that are under way, for those who watch over them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from pifopfs.errors import Interrupted
from pifopfs.fuse.callers import Caller
from pifopfs.observing.histogram import Histogram

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Call:
    """One request of the kernel that has no answer yet."""

    what: str
    """The request, such as `open`."""
    caller: Caller | int
    """Who made it, or his thread: who he is, is found out only when the call blocks."""
    ino: int
    handler: Coroutine[Any, Any, object]
    patient: bool
    """It may take as long as an execution runs."""
    began: float = field(default_factory=trio.current_time)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    reported: float = 0.0
    """After how many seconds the watchdog has spoken of it."""

    def __str__(self) -> str:
        return f"{self.what} of inode {self.ino}"

    @property
    def kind(self) -> str:
        """The request; a read that waits for an end is of a kind of its own."""
        return "wait" if self.patient else self.what

    def find_caller(self) -> Caller:
        """Who made it."""
        if isinstance(self.caller, int):
            self.caller = Caller.of(self.caller, self.ino)
        return self.caller


class Calls:
    """All of one mount."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self.took: defaultdict[str, Histogram] = defaultdict(Histogram)
        """How long they took, by kind."""
        self._some = trio.Event()
        """Set exactly while there is one."""

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls))

    async def until_some(self) -> None:
        """Return when there is one."""
        await self._some.wait()

    async def run(
        self,
        what: str,
        caller: Caller | int,
        ino: int,
        handler: Callable[[], Coroutine[Any, Any, T]],
        *,
        patient: bool = False,
    ) -> T:
        """Run a handler, for a caller or the thread that just asked.

        Raises Interrupted where somebody cancels the call's scope.
        """
        running = handler()
        call = Call(what, caller, ino, running, patient)
        with self._listed(call), call.scope:
            return await running
        raise Interrupted(str(call))

    @contextmanager
    def _listed(self, call: Call) -> Iterator[None]:
        self._calls.add(call)
        self._some.set()
        try:
            yield
        finally:
            self._calls.discard(call)
            self.took[call.kind].add(trio.current_time() - call.began)
            if not self._calls:
                self._some = trio.Event()
