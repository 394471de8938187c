"""What the queue shows of all jobs of a server, looked at once for all of them.

A look costs what the controller of a whole cluster has to give, so there are many only while
something is about to happen: a job has just been submitted, or its end is expected.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import trio

from pifopfs.server.engines.slurm.commands import Commands, SlurmAway
from pifopfs.server.engines.slurm.states import Fate, Seen

log = logging.getLogger(__name__)

SOONEST, LATEST = 0.05, 2.0
"""Seconds between looks: from just after something has happened, to when nothing does."""
GROWTH = 1.25
"""With each look at which nothing has changed, they get rarer by this."""
SHARE = 4
"""Looks take a fifth of the time at most."""
FORGOTTEN, LONG = 3, 10.0
"""Looks, and seconds, that do not show a job, until it counts as forgotten: a new one may be
missing at first, and all may be while a controller begins.
"""


@dataclass(eq=False, slots=True)
class Watched:
    """A job that somebody waits for."""

    id: str
    name: str
    """Another job may have had its number, or get it: where a controller begins anew."""
    seen: Seen | None = None
    missed: int = 0
    """Looks in a row that did not show it."""
    since: float = 0.0
    """When the first of these was made."""
    news: trio.Event = field(default_factory=trio.Event)
    """Set, and replaced, when it has changed."""

    @property
    def number(self) -> int:
        """Ids are given in the order in which jobs were submitted."""
        return int(self.id)

    @property
    def forgotten(self) -> bool:
        """Slurm knows nothing of it any more."""
        return self.missing and trio.current_time() > self.since + LONG

    @property
    def missing(self) -> bool:
        """It seems so."""
        return self.missed >= FORGOTTEN

    @property
    def waits(self) -> bool:
        """It is in the queue, and has not begun."""
        return self.seen is not None and self.seen.fate is Fate.WAITING

    def tell(self, seen: Seen | None) -> bool:
        """What a look has shown; whether that is news."""
        if seen is not None:
            self.missed = 0
        else:
            self.since = self.since if self.missed else trio.current_time()
            self.missed += 1
        news = seen not in (None, self.seen)
        if news or self.missing:
            self.seen = seen or self.seen
            self.news.set()
            self.news = trio.Event()
        return news


@dataclass(eq=False, slots=True)
class _Sought:
    """Somebody wants to know the jobs of a name."""

    found: list[Seen] = field(default_factory=list)
    done: trio.Event = field(default_factory=trio.Event)


class Queue:
    """Looks while there is something to look for."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._watched: dict[str, Watched] = {}
        self._sought: dict[str, list[_Sought]] = {}
        self._ranks: dict[str, int] = {}
        """Of the jobs that wait."""
        self._wanted = trio.Event()
        self._hurry = trio.Event()
        self._away = False
        """Slurm has not answered the last time."""

    def watch(self, id_: str, name: str) -> Watched:
        """From now on, until `leave`."""
        watched = self._watched.setdefault(id_, Watched(id_, name))
        self.hurry()
        return watched

    def leave(self, watched: Watched) -> None:
        """Nobody waits for it any more."""
        self._watched.pop(watched.id, None)

    async def find(self, name: str) -> list[Seen]:
        """Jobs with a name, as Slurm knows them from now on: this waits until it answers."""
        sought = _Sought()
        self._sought.setdefault(name, []).append(sought)
        self.hurry()
        await sought.done.wait()
        return sought.found

    def hurry(self) -> None:
        """Something has happened of which the queue will tell."""
        self._wanted.set()
        self._hurry.set()

    def waiting(self) -> int:
        """How many of this server's jobs have not begun."""
        return len(self._ranks)

    def position(self, watched: Watched) -> int | None:
        """How many of this server's jobs waited before this one at the last look; None where it
        does not wait.
        """
        if not watched.waits:
            return None
        return self._ranks.get(watched.id, 0)

    async def run(self) -> None:
        """Look until cancelled."""
        interval = SOONEST
        while True:
            if not (self._watched or self._sought):
                self._wanted = trio.Event()
                await self._wanted.wait()
            began = trio.current_time()
            interval = SOONEST if await self._look() else min(LATEST, interval * GROWTH)
            with trio.move_on_after(max(interval, SHARE * (trio.current_time() - began))):
                await self._hurry.wait()
                interval = SOONEST
                await trio.sleep(SOONEST)  # what comes together is looked for together
            self._hurry = trio.Event()

    async def _look(self) -> bool:
        """Whether something has changed."""
        watched, sought, self._sought = dict(self._watched), self._sought, {}
        try:
            shown = await self._commands.look(list(watched))
            found = await self._commands.find(list(sought))
        except (SlurmAway, OSError, ValueError) as error:
            for name, askers in sought.items():  # others may have asked meanwhile
                self._sought.setdefault(name, []).extend(askers)
            self._told(error)
            return False
        self._told(None)
        for name, askers in sought.items():
            for asker in askers:
                asker.found = [job for job in found if job.name == name]
                asker.done.set()
        seen = {(job.id, job.name): job for job in shown}
        news = [each.tell(seen.get((each.id, each.name))) for each in watched.values()]
        waiting = sorted(each.number for each in watched.values() if each.waits)
        self._ranks = {str(number): rank for rank, number in enumerate(waiting)}
        return any(news) or bool(sought)

    def _told(self, error: Exception | None) -> None:
        if error is not None and not self._away:
            log.warning("Slurm does not answer, and its jobs are waited for: %s", error)
        if error is None and self._away:
            log.info("Slurm answers again")
        self._away = error is not None
