"""Slurm's own commands, run with a deadline each.

A command that fails says either that Slurm does not answer, and then nothing is known of any job,
or that it does not want what it was asked for.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Sequence

import trio

from pifopfs.server.engines import LaunchRefused
from pifopfs.server.engines.slurm.states import Seen

log = logging.getLogger(__name__)

SIGNAL_PATIENCE = 5.0
"""Seconds for one that sends a signal: it would wait for a job that does not run, or no more."""
PATIENCE = 30.0
"""Seconds for one command: those of Slurm give up by themselves before."""
AT_ONCE = 4
"""Commands of one kind that run at the same time."""
FIELDS = ("JobID", "Name", "State", "exit_code", "NodeList", "StartTime", "Reason")
"""The last one may hold anything."""
FORMAT = ",".join(f"{field}:|" for field in FIELDS)
PASSED_ON = {
    "PATH", "HOME", "USER", "TZ", "LD_LIBRARY_PATH", "SLURM_CONF",
    "SBATCH_ACCOUNT", "SBATCH_CONSTRAINT", "SBATCH_PARTITION", "SBATCH_QOS", "SBATCH_RESERVATION",
}  # fmt: skip
"""Of the environment of the server."""
WORDS_AT_ONCE = 1000
"""Ids or names on one command line: Linux takes 128 KiB in one word."""
AWAY = (
    "Unable to contact slurm controller",
    "Unable to establish connection",
    "Unable to resolve",
    "Unable to register",
    "Zero Bytes were transmitted or received",
    "Message receive failure",
    "Message send failure",
    "Header lengths are longer than data received",
    "Unexpected message received",
    "Socket timed out",
    "Communication ",
    "Connection ",
    "Transport endpoint",
    "Protocol authentication error",
    "Invalid authentication credential",
    "If munged is up",
    "Munge ",
    "authentication: ",
    "Slurm temporarily unable to accept job",
    "Slurm job queue full",
    "Slurm backup controller in standby mode",
    "Resource temporarily unavailable",
)
"""How errors begin of a controller that is down, lets nobody in now, or holds as many jobs as it
may: texts of slurm_errno.c and of authentication by munge.
"""
FULL = re.compile(r"\w*(Grp|Max)\w*Submit\w*")
"""So begin the lines that name the limit where the user has as many jobs as he may have."""
BEFORE = re.compile(
    r"^(\w+: )?((error|fatal): )?(slurm_load_\w+( error)?: )?(Batch job submission failed: )?"
)
UNKNOWN = "Invalid job id"
WORDS = 3
UNKNOWN_TIME = {"", "N/A", "Unknown"}


class SlurmAway(Exception):
    """It does not answer now. That says nothing of any job."""


class SlurmRefused(LaunchRefused):
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
        id_ = answer.strip()
        if not id_.isdecimal():
            raise SlurmAway(f"sbatch: {answer!r} is no id of a job")
        return id_

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
                    "squeue", "--all", "--noheader", "--states=all", f"--Format={FORMAT}", *which
                )
            except SlurmRefused as error:
                if UNKNOWN not in str(error):
                    raise SlurmAway(str(error)) from error
                continue
            seen += [job for job in map(_parsed, text.split("\n")) if job is not None]
        return seen

    async def unfinished(self, prefix: str) -> set[str]:
        """The names of jobs that begin so and have not ended. Raises SlurmAway."""
        try:
            text = await self._run("squeue", "--all", "--noheader", "--format=%j", *self._own)
        except SlurmRefused as error:
            raise SlurmAway(str(error)) from error
        return {name for name in text.split("\n") if name.startswith(prefix)}

    async def history(self, name: str, since: float) -> str:
        """The state of a job that the queue has forgotten, where its end was accounted for;
        otherwise empty. `since`: seconds since the epoch, before which it was not.
        """
        start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since))
        for more in ((), ("--completion",)):  # with a database of accounts, and without
            try:
                async with self._others:
                    text = await self._run(
                        "sacct", "--noheader", "--parsable2", "--format=JobName,State",
                        "--allocations", f"--starttime={start}", f"--name={name}", *more,
                    )  # fmt: skip
            except (SlurmAway, SlurmRefused) as error:
                log.debug("sacct: %s", error)
                continue
            for line in text.splitlines():
                of, _, state = line.rpartition("|")
                if (
                    of == name and state.strip()
                ):  # without a database there are all jobs of the cluster
                    return state.split()[0]
        return ""

    async def cancel(self, name: str) -> None:
        """End all jobs of a name; those that have ended are left alone. Raises SlurmAway."""
        await self._cancel(name)

    async def signal(self, name: str, signal: str) -> None:
        """Send a signal to the scripts that run with this name. Raises SlurmAway."""
        await self._cancel(name, "--state=RUNNING", "--batch", f"--signal={signal}")

    async def _cancel(self, name: str, *options: str) -> None:
        command = ["scancel", "--quiet", *self._own, *options, f"--name={name}"]
        try:
            async with self._others:
                await self._run(*command, patience=SIGNAL_PATIENCE if options else PATIENCE)
        except SlurmRefused as error:
            log.info("%s: %s", name, error)

    async def nodes(self, partition: str | None) -> dict[str, str]:
        """The nodes of some partitions, of the default one where none is named, and their states,
        as sinfo's short form has them. Raises SlurmAway, SlurmRefused.
        """
        text = await self._run("sinfo", "--all", "--noheader", "--Node", "--format=%N %t %P")
        lines = [line.split() for line in text.splitlines() if len(line.split()) == WORDS]
        names = None if partition is None else partition.split(",")
        return {
            node: state
            for node, state, of in lines
            if (of.endswith("*") if names is None else of.rstrip("*") in names)
        }

    async def _run(self, *command: str, stdin: bytes = b"", patience: float = PATIENCE) -> str:
        try:
            with trio.fail_after(patience):
                done = await trio.run_process(
                    command,
                    stdin=stdin,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env=self._environment,
                )
        except trio.TooSlowError:
            raise SlurmAway(f"{command[0]} has not ended within {patience:g} s") from None
        except FileNotFoundError:
            raise SlurmRefused(f"{command[0]} is not installed: install slurm-client") from None
        except OSError as error:  # too many open files
            raise SlurmAway(f"{command[0]} cannot be run: {error}") from error
        return _answer(command[0], done)


def _environment() -> dict[str, str]:
    """What jobs get, too, so that no node has to make a login environment for them, which takes up
    to seconds: nothing of the server's that they have no need of.
    """
    kept = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    return {**kept, "LC_ALL": "C", "SLURM_TIME_FORMAT": "%s"}


def _answer(program: str, done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace")
    said = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
    said = re.sub(rf"^{program}: (error: )?", "", said)
    lines = [BEFORE.sub("", line) for line in said.splitlines()]
    if any(line.startswith(AWAY) or FULL.match(line) for line in lines):
        raise SlurmAway(f"{program}: {said}")
    raise SlurmRefused(f"{program}: {said}")


def _parsed(line: str) -> Seen | None:
    """None for what is not as it was asked for."""
    try:
        id_, name, state, status, nodes, started, reason = line.split("|", len(FIELDS) - 1)
        return Seen(
            str(int(id_)),
            name,
            state,
            reason.removesuffix("|"),
            int(status or 0),
            nodes,
            None if started in UNKNOWN_TIME else float(started),
        )
    except ValueError:
        if line:
            log.debug("squeue prints what it was not asked for: %r", line)
        return None
