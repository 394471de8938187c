"""Slurm's own commands, run with a deadline each.

A command that fails says either that Slurm does not answer, and then nothing is known of any job,
or that it does not want what it was asked for.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Sequence

import trio

from pifopfs.server.engines.slurm.states import Seen

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for one command: those of Slurm give up by themselves before."""
AT_ONCE = 4
"""Commands of one kind that run at the same time."""
FIELDS = ("JobID", "Name", "State", "Reason", "exit_code", "NodeList", "StartTime")
FORMAT = ",".join(f"{field}:|" for field in FIELDS)
PASSED_ON = {"PATH", "HOME", "USER", "LD_LIBRARY_PATH", "SLURM_CONF", "SLURM_CLUSTERS"}
WORDS_AT_ONCE = 1000
"""Ids or names on one command line: Linux takes 128 KiB in one word."""
AWAY = re.compile(
    r"unable to contact|connection|timed out|communication|socket|munge|authentication|"
    r"backup controller|configuration source|not responding|temporarily|try again|"
    r"max\w*submit\w*limit",
    re.IGNORECASE,
)
"""Said by a cluster that is down, does not let anybody in now, or holds as many jobs as it may."""
NEVER = re.compile(r"unrecognized option|ambiguous", re.IGNORECASE)
UNKNOWN = "Invalid job id"
UNKNOWN_TIME = {"", "N/A", "Unknown"}


class SlurmAway(Exception):
    """It does not answer now. That says nothing of any job."""


class SlurmRefused(OSError):
    """It does not want what it was asked for."""


class Commands:
    """Those of one cluster."""

    def __init__(self) -> None:
        # Has the controller leave out the jobs of others, which may be many; not so for root.
        self._own = [] if os.getuid() == 0 else [f"--user={os.getuid()}"]
        self._environment = _environment()
        self._submissions = trio.CapacityLimiter(AT_ONCE)
        self._others = trio.CapacityLimiter(AT_ONCE)

    async def submit(self, script: bytes, options: Sequence[str]) -> str:
        """The id of a new job. Raises SlurmAway, SlurmRefused."""
        async with self._submissions:
            answer = await self._run("sbatch", "--parsable", *options, stdin=script)
        return answer.strip().partition(";")[0]

    async def look(self, ids: Sequence[str]) -> list[Seen]:
        """Jobs with these ids; one that Slurm has forgotten is left out. Raises SlurmAway."""
        return await self._seen("--jobs", ids)

    async def find(self, names: Sequence[str]) -> list[Seen]:
        """Jobs with these names, which Slurm remembers for minutes. Raises SlurmAway."""
        return await self._seen("--name", names)

    async def _seen(self, by: str, words: Sequence[str]) -> list[Seen]:
        seen: list[Seen] = []
        for first in range(0, len(words), WORDS_AT_ONCE):
            some = ",".join(words[first : first + WORDS_AT_ONCE])
            which = [*self._own, f"{by}={some}"]
            try:
                text = await self._run(
                    "squeue", "--noheader", "--states=all", f"--Format={FORMAT}", *which
                )
            except SlurmRefused as error:
                if UNKNOWN not in str(error):
                    raise SlurmAway(str(error)) from error
                continue
            seen += [_parsed(line) for line in text.splitlines() if line]
        return seen

    async def history(self, name: str) -> str:
        """The last state of a job that the queue has forgotten, where its end was accounted for;
        otherwise empty.
        """
        told = ""
        for command in (("--name", name), ("-c", "--name", name)):
            try:
                async with self._others:
                    text = await self._run(
                        "sacct", "--noheader", "--parsable2", "--format=State", *command
                    )
            except (SlurmAway, SlurmRefused) as error:
                log.debug("sacct: %s", error)
                continue
            states = [line.split()[0] for line in text.splitlines() if line.strip()]
            told = states[-1] if states else told
        return told

    async def cancel(self, id_: str, *options: str) -> None:
        """End a job, or send a signal to its script (`--batch`); one that has ended is left alone.
        Raises SlurmAway.
        """
        try:
            async with self._others:
                await self._run("scancel", "--quiet", *options, id_)
        except SlurmRefused as error:
            log.info("scancel %s: %s", id_, error)

    async def nodes(self, partition: str | None) -> dict[str, str]:
        """The nodes of some partitions, all where none is named, and their states, as sinfo's
        short form has them. Raises SlurmAway, SlurmRefused.
        """
        which = [] if partition is None else [f"--partition={partition}"]
        text = await self._run("sinfo", "--noheader", "--Node", "--format=%N %t", *which)
        return dict(line.split() for line in text.splitlines())

    async def _run(self, *command: str, stdin: bytes = b"") -> str:
        try:
            with trio.fail_after(PATIENCE):
                done = await trio.run_process(
                    command,
                    stdin=stdin,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env=self._environment,
                )
        except trio.TooSlowError:
            raise SlurmAway(f"{command[0]} has not ended within {PATIENCE:g} s") from None
        except FileNotFoundError:
            raise SlurmRefused(f"{command[0]} is not installed: install slurm-client") from None
        except OSError as error:  # too many open files
            raise SlurmAway(f"{command[0]} cannot be run: {error}") from error
        return _answer(command[0], done)


def _environment() -> dict[str, str]:
    """What jobs get, too, so that no node has to make a login environment for them, which takes up
    to seconds: nothing of the server's that they have no need of.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith("SBATCH_")
    }
    return {**kept, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s"}


def _answer(program: str, done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace")
    said = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
    said = re.sub(rf"^{program}: (error: )?", "", said)
    if AWAY.search(said) and not NEVER.search(said):
        raise SlurmAway(f"{program}: {said}")
    raise SlurmRefused(f"{program}: {said}")


def _parsed(line: str) -> Seen:
    id_, name, state, reason, status, nodes, started, *_ = line.split("|")
    return Seen(
        id_,
        name,
        state,
        reason,
        int(status or 0),
        nodes,
        None if started in UNKNOWN_TIME else float(started),
    )
