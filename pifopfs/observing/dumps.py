"""SIGUSR1: what the process does at this moment goes into its log.

A thread of its own writes it, so that a busy event loop tells where it is busy, and an idle one
need not be asked. It only reads: sets are copied in one step of the interpreter, and what has
changed meanwhile is as true as what has not.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import trio

from pifopfs.observing.stacks import stack

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # it was asked for, whatever else is logged

T = TypeVar("T")

SIGNAL = signal.SIGUSR1
EVENT = 8
"""Bytes that an eventfd gives."""
MOST, MOST_TOGETHER = 200, 20
"""Texts of a section, and names at one place: there may be a hundred thousand calls under way."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a dump: such as `open handles`, and a text for each, of one line or more."""

    title: str
    texts: list[str]
    count: int
    """How many there are, which may be more than texts."""

    @classmethod
    def of(cls, title: str, each: Iterable[str]) -> Section:
        """One with a text for each."""
        texts = list(each)
        return cls(title, texts, len(texts))

    @classmethod
    def of_waiting(cls, title: str, waiting: Iterable[tuple[str, object]]) -> Section:
        """Of names and their coroutines: those that wait at the same place are told together."""
        places: defaultdict[str, list[str]] = defaultdict(list)
        for name, coroutine in waiting:
            places[stack(coroutine)].append(name)
        texts = [_told(names, place) for place, names in places.items()]
        return cls(title, sorted(texts, key=len), sum(map(len, places.values())))


Sections = Callable[[], Iterable[Section]]


@contextmanager
def dumped_on_signal(sections: Sections = tuple) -> Iterator[None]:
    """Use it in trio. Meanwhile SIGUSR1 writes the `sections`, all tasks and the stack of the event
    loop to the log; `sections` is called in another thread.
    """
    root = trio.lowlevel.current_root_task()
    main, over = threading.get_ident(), threading.Event()
    told = os.eventfd(0, os.EFD_CLOEXEC)

    def watch() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for others
        while os.read(told, EVENT) and not over.is_set():
            try:
                _dump([*sections(), _tasks(root), _main_thread(main)])
            except Exception:
                log.exception("bug in a dump")

    thread = threading.Thread(target=watch, name="dumps", daemon=True)
    thread.start()
    previous = signal.signal(SIGNAL, lambda *_: os.eventfd_write(told, 1))
    try:
        yield
    finally:
        signal.signal(SIGNAL, signal.SIG_IGN if previous is signal.SIG_DFL else previous)
        over.set()
        os.eventfd_write(told, 1)
        thread.join()
        os.close(told)


async def dumping(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main`; meanwhile SIGUSR1 writes a dump."""
    with dumped_on_signal():
        return await main()


def _dump(sections: Iterable[Section]) -> None:
    parts = list(sections)
    counts = ", ".join(f"{part.title}: {part.count}" for part in parts[:-1])
    details = "\n".join(line for part in parts for line in _shown(part))
    log.info("%s: %s", SIGNAL.name, counts, extra={"details": details})


def _shown(section: Section) -> Iterator[str]:
    yield f"{section.title}:"
    for text in section.texts[:MOST]:
        yield from (f"  {line}" for line in text.splitlines())
    if len(section.texts) > MOST:
        yield f"  … and {len(section.texts) - MOST} more"


def _told(names: list[str], place: str) -> str:
    more = [f"… and {len(names) - MOST_TOGETHER} more"] if len(names) > MOST_TOGETHER else []
    return "\n".join([*names[:MOST_TOGETHER], *more, place])


def _tasks(root: trio.lowlevel.Task | None) -> Section:
    """Every task, and where it waits."""
    return Section.of_waiting("tasks", ((task.name, task.coro) for task in _below(root)))


def _below(root: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    waiting = [] if root is None else [root]
    while waiting:
        task = waiting.pop()
        yield task
        for nursery in list(task.child_nurseries):
            waiting += nursery.child_tasks


def _main_thread(main: int) -> Section:
    frame = sys._current_frames().get(main)
    shown = "".join(traceback.format_stack(frame)) if frame else "gone"
    return Section.of("the event loop", [shown])
