"""The local server, with functions for the bench, over TLS and on a Unix socket."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.bench.mounts import PIFOPFS
from tests.bench.processes import RowFailed, read_line, run, started
from tests.functions import write_function
from tests.mount.harness import environment

FUNCTIONS = {
    "nothing": "cp a.txt r.txt",
    "sleeper": 'sleep "$(cat a.txt)"; date +%s.%N > r.txt',
    "maker": 'head -c "$(cat a.txt)" /dev/urandom > r.txt',
    "talker": """
read -r times pause size < a.txt
head -c "$size" /dev/urandom | base64 | head -c "$size" > piece
while [ "$times" -gt 0 ]; do cat piece; sleep "$pause"; times=$((times - 1)); done
""",
}
"""Their scripts; each has the input `a` as a.txt and the output `r` as r.txt."""

FOLDER = "functions"
"""Where they are, in the folder of the server."""
CROWD = "crowd"
"""A function with many inputs, c0, c1, …, and as many outputs, which are the same."""


@dataclass(frozen=True, slots=True)
class Service:
    """`pifopfs serve`, up."""

    port: int
    socket: Path
    ca_file: Path
    pid: int
    env: Mapping[str, str]

    @property
    def https(self) -> str:
        return f"https://localhost:{self.port}"

    def key(self, function: str) -> str:
        """The master key of joe/FUNCTION."""
        return run([PIFOPFS, "keys", "master", f"joe/{function}"], env=self.env).strip()


@contextmanager
def open_service(folder: Path, crowd: Sequence[str]) -> Iterator[Service]:
    """The local server in this folder, while the block runs; `crowd` are the inputs of CROWD.

    Raises RowFailed.
    """
    author = folder / FOLDER / "joe"
    for name, script in FUNCTIONS.items():
        write_function(author / name, script)
    files = {
        kind: [{"id": name, "path": f"{kind}-{name}"} for name in crowd]
        for kind in ("input", "output")
    }
    script = 'for file in input-*; do cp "$file" "output-${file#input-}"; done'
    write_function(author / CROWD, script, **files)
    with served(folder) as service:
        yield service


@contextmanager
def served(folder: Path, *options: str, more: Mapping[str, str] | None = None) -> Iterator[Service]:
    """The local server for what is in its folder FOLDER; `more` is for its environment.

    Raises RowFailed.
    """
    env = environment(folder) | dict(more or {})
    socket = folder / "run" / "s.sock"
    command = [PIFOPFS, "serve", folder / FOLDER, "--port", "0", "--socket", socket, *options]
    with started([*command, "--log-level", "error"], env=env) as process:
        port, ca_file = _told(process)
        yield Service(port, socket, ca_file, process.pid, env)


def _told(process: Popen[str]) -> tuple[int, Path]:
    """Its port and its certificate, which are in the last two lines that it says when ready."""
    said = [read_line(process) for _ in range(3)]
    port = re.search(r"https://localhost:(\d+)$", said[1].strip())
    certificate = re.match(r"certificate: (.+) \(for --ca-file\)$", said[2])
    if port is None or certificate is None:
        raise RowFailed(f"pifopfs serve says {said}")
    return int(port[1]), Path(certificate[1])
