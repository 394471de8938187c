"""The machine whose daemon is also ended, and killed."""

from __future__ import annotations

from hypothesis.stateful import precondition, rule

from tests.model.comparison import outcome
from tests.model.machine import MountMachine


class RestartingMachine(MountMachine):
    """… and the daemon is ended, or killed, twice in each sequence at most."""

    restarts = 2

    @precondition(lambda self: self.restarts)
    @rule()
    def remount(self) -> None:
        for number, handle in list(self.open.items()):
            self.close_one(number, handle)
        self.site.remount()
        self.restarted()

    @precondition(lambda self: self.restarts)
    @rule()
    def crash(self) -> None:
        self.site.crash()
        for number in self.open:
            outcome(self.site.call, "close", number)
        self.open.clear()
        self.restarted()

    def restarted(self) -> None:
        self.restarts -= 1
        self.model.restart()
        self.noted = self.site.refusals()
        self.check_list()
        for name in self.model.executions:
            self.check_execution(name)
