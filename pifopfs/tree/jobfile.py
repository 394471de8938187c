"""What the fixed files of an execution share."""

from __future__ import annotations

from pifopfs.tree.job import Job
from pifopfs.tree.layout import FIXED
from pifopfs.tree.nodes import LIVE, Attributes, Node


class JobFile(Node):
    """One of the fixed files of an execution."""

    __slots__ = ("job",)

    def __init__(self, job: Job, name: str) -> None:
        super().__init__(job.ino(FIXED[name].slot), name)
        self.job = job

    def where(self) -> str:
        return self.job.path(self.name)

    def _attributes(self, size: int, mtime_ns: int, attr_timeout: float = LIVE) -> Attributes:
        return Attributes(self.ino, FIXED[self.name].mode, size, mtime_ns, attr_timeout)
