"""How a run has ended, from what Slurm says of its job and what its script has left."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

from pifopfs.server.engines import SetUpFailed
from pifopfs.server.engines.slurm.files import End, Files, read
from pifopfs.server.engines.slurm.script import STOPPED, TAKEN, UNUSABLE
from pifopfs.server.engines.slurm.states import Seen, exit_of
from pifopfs.server.sandbox.launch import Exit, Launch

MOST_SAID = 1000
NEVER_BEGUN = Exit(STOPPED)
AGAIN = Exit(TAKEN, failure="its job was begun a second time, and not run again")
GONE = Exit(STOPPED, failure="Slurm has forgotten its job, which had not begun")
LOST = Exit(STOPPED, failure="Slurm has forgotten its job, and it has left no exit code")


def came_second(ended: Exit | None, end: End | None) -> bool:
    """Whether a job found that another one has begun its run."""
    return ended is not None and ended.code == TAKEN and (end is None or end.code != TAKEN)


def forgotten(files: Files, told: str) -> Exit:
    """Of a job that the queue does not show any more. `told`: its last state, if known."""
    if not files.taken:
        return GONE
    ended = exit_of(Seen("", "", told))
    return LOST if ended is None or ended == Exit(0) else ended


def checked(ended: Exit, files: Files, launch: Launch, nodes: str, *, unwanted: bool) -> Exit:
    """With what its script says, which ends at once where its job is cancelled: if it has told an
    exit code, that came before whatever happened to its job or its node later on.

    Raises FileNotFoundError where there is no such program, and SetUpFailed.
    """
    end, said = files.end(), files.said()
    if end is not None:
        short = ended.out_of_memory or end.out_of_memory
        ended = Exit(end.code, out_of_memory=short, dropped=end.dropped)
    if said == "ready" or _special(ended):
        return ended
    if said == "missing":
        program = launch.command[0] if launch.command else "its program"
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    if ended.code == UNUSABLE:
        return replace(ended, failure=f"node {nodes} sees stale or missing files of its run")
    if unwanted:
        return ended
    raise SetUpFailed(errno.EIO, f"on node {nodes}: {_why(files)}")


def tells_end(ended: Exit) -> bool:
    """Whether its script has told so: it does for every way in which its program may end."""
    return not (_special(ended) or ended.code in (UNUSABLE, TAKEN, STOPPED))


def _special(ended: Exit) -> bool:
    """Slurm has said why."""
    return bool(ended.failure or ended.out_of_memory or ended.timed_out)


def _why(files: Files) -> str:
    said = read(files.printed, MOST_SAID).strip() or read(files.messages, MOST_SAID).strip()
    return said or "it said nothing"
