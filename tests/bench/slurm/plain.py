"""What a user would write who has sbatch and nothing else: a loop of it, then squeue.

bare     a folder for each job, and the program alone
boxed    the same as pifopfs does for a run: the folder has a copy of the function's files, and
         the program runs in it in the same sandbox, by the same line
"""

from __future__ import annotations

import itertools
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

from pifopfs.machine import BUBBLEWRAP
from pifopfs.server.engines.opening import make_isolation
from pifopfs.server.engines.slurm.script import GATE
from pifopfs.server.limits import DEFAULT
from pifopfs.server.sandbox.launch import Launch
from tests.bench.processes import RowFailed, run
from tests.bench.slurm.cluster import OPTIONS, SCRIPTS, Cluster

SUBMIT = """
cd {folder} || exit
script=$(<{script})
while [[ $EPOCHREALTIME < {at:.6f} ]]; do :; done
begun=$EPOCHREALTIME
for ((number = 0; number < {count}; number++)); do
    mkdir $number && {copy} && sbatch --parsable {options} --chdir={folder}/$number \\
        --output={folder}/$number/log >>ids <<<"${{script//FOLDER/{folder}/$number}}" || exit
done
submitted=$EPOCHREALTIME
while :; do
    left=$(squeue --noheader --format=%i) || exit
    [ "$left" ] || break
    sleep {pause}
done
echo $begun $submitted $EPOCHREALTIME
"""
COPY = """
    mkdir $number/work $number/tmp && cp -r {function}/. $number/work &&
    chown -R {user} $number/work
"""
PAUSES = {1: 0.05}
PAUSE = 0.2
"""Seconds between two looks at the queue: fewer for one job than for many."""
PATIENCE = 900.0

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Times:
    """Of some jobs, in seconds from before the first is submitted."""

    submitted: float
    """Until the last one is."""
    ended: float
    """Until the end of each is known."""
    began: tuple[float, ...]
    """Until the program of each runs."""
    busy: float = 0.0
    """Processor seconds that the whole machine took."""


class Plain:
    """sbatch on a cluster."""

    def __init__(self, cluster: Cluster, function: str, *, boxed: bool) -> None:
        self._cluster = cluster
        self._copy, self._result = ":", "r.txt"
        self._script = cluster.folder / f"script{next(_numbers)}"
        if boxed:
            self._copy, self._result = self._box(cluster.functions / function), "work/r.txt"
        else:
            self._script.write_text(f"#!/bin/sh\n{SCRIPTS[function]}\n")

    def _box(self, function: Path) -> str:
        """Write the script; how the files of a job are made."""
        folder = self._script.with_suffix(".folder")
        (folder / "work").mkdir(parents=True)
        isolation = make_isolation(BUBBLEWRAP, "pifopfs-plain", None, 1024)
        launch = Launch("plain", ("sh", "run.sh"), folder, DEFAULT)
        command = isolation.command(launch, gate=GATE)
        words = [f"{name}={value}" for name, value in command.environment.items()]
        line = shlex.join(["env", "-i", *words, *command.argv])
        for number in command.descriptors:
            line += f" {self._redirected(number)}"
        command.close_descriptors()
        if command.reports is not None:
            os.close(command.reports)
        line = f"#!/bin/bash\ncd {command.cwd} && exec {line} 0>>{folder}/said\n"
        self._script.write_text(line.replace(str(folder), "FOLDER"))
        user = "root" if isolation.user is None else f"{isolation.user.uid}:{isolation.user.gid}"
        return COPY.strip().format(function=shlex.quote(str(function)), user=user)

    def _redirected(self, number: int) -> str:
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            return f"{number}>/dev/null"
        path = self._script.with_name(f"{self._script.name}.{number}")
        path.write_bytes(os.pread(number, os.fstat(number).st_size, 0))
        return f"{number}<{path}"

    def jobs(self, count: int, at: float = 0.0) -> Times:
        """Submit them one after the other, from a time on, and wait for all. Raises RowFailed."""
        folder = self._cluster.folder / f"plain{next(_numbers)}"
        folder.mkdir()
        script = SUBMIT.format(
            count=count,
            at=at,
            folder=folder,
            copy=self._copy,
            options=shlex.join(OPTIONS),
            script=self._script,
            pause=PAUSES.get(count, PAUSE),
        )
        printed = run(["bash", "-c", script], within=PATIENCE, env=self._cluster.env)
        begun, submitted, ended = map(float, printed.split())
        began = [_began(folder / str(number) / self._result) for number in range(count)]
        return Times(submitted - begun, ended - begun, tuple(each - begun for each in began))


def waited_for(cluster: Cluster) -> float:
    """Seconds for one job that does nothing, with sbatch --wait. Raises RowFailed."""
    words = ["sbatch", "--wait", *OPTIONS, "--output=/dev/null", "--wrap=true"]
    timing = f"begun=$EPOCHREALTIME; {shlex.join(words)} >/dev/null; echo $begun $EPOCHREALTIME"
    begun, ended = map(float, run(["bash", "-c", timing], env=cluster.env).split())
    return ended - begun


def _began(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError) as error:
        raise RowFailed(f"a job of sbatch's has no result: {error}") from error
