"""Who makes a call, and whether a signal waits for him.

A process that waits for our answer cannot be killed until it has one, so we look whether a signal
waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pifopfs.fuse.processes import Processes, dies_of_a_signal, holds, thread_group


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opened a file: later requests do not say who asks.

    The thread that opened it may have ended since, its process, too; a child goes on with it.
    """

    process: int
    thread: int
    ino: int
    """The file's inode number, by which others that hold it are found."""

    @classmethod
    def of(cls, thread: int, ino: int) -> Caller:
        """`thread` is what the kernel passes on as the caller."""
        return cls(thread_group(thread), thread, ino)

    def __str__(self) -> str:
        return f"process {self.process}"

    def was_killed(self) -> bool:
        """Whether the file closes because its process dies of a signal, without its doing."""
        processes = Processes()
        if processes.exists(self.process):
            return dies_of_a_signal(self.process)
        return any(dies_of_a_signal(process) for process, _ in processes.all_waiting())

    def has_signal(self, processes: Processes, *, stops: bool) -> bool:
        """Whether a signal that is neither blocked nor ignored is pending for who waits; those
        that only stop him count where `stops`.

        That may be a descendant: a shell opens a file that its child then reads. Where the
        opener is gone, it is anybody who waits for us and holds the file.
        """
        if processes.exists(self.process):
            if processes.pending(self.process, self.thread, stops):
                return True
            if processes.waits(self.process, self.thread):  # then it is he, and nobody else
                return False
            return any(processes.pending(*each, stops) for each in processes.waiting(self.process))
        return any(
            processes.pending(process, thread, stops) and holds(process, self.ino)
            for process, thread in processes.all_waiting()
        )
