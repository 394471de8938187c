"""Where a bench takes place: a temporary folder, the services in it, and how much is measured."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pifopfs.server.removal import remove
from tests.bench.mounts import Mount, mounted
from tests.bench.origin import Origin, open_origin
from tests.bench.processes import run
from tests.bench.service import Service, open_service

T = TypeVar("T")
BLOCK = 1 << 20
BODIES = "exec_ENDED1"
"""The execution of the origin that has ended, with large outputs."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    size: int = 1 << 30
    """Bytes of a large body."""
    runs: int = 3
    """Of everything that is measured in turns."""
    sizes: tuple[int, ...] = (1 << 10, 1 << 15, 1 << 20, 1 << 25, 1 << 30)
    """Bytes of the bodies of the plot."""
    written: int = 64 << 20
    """Bytes that are written in small pieces."""
    random_reads: int = 100
    crowd: int = 1000
    """Files, 32 at a time."""
    jobs: int = 10
    """Of each run of the row `job`."""
    lengths: tuple[float, ...] = (0.2, 1, 5, 20)
    """Seconds of the jobs whose end is waited for."""
    short_jobs: int = 5
    """Of each length that is done in a few seconds."""
    minute: float = 60
    log: int = 10 << 20
    """Bytes of the log that is followed for a minute."""
    known: tuple[int, ...] = (10, 100, 1000, 10000)
    """Executions."""
    slurm_alone: int = 8
    """Jobs on a cluster that are measured one by one, in turns."""
    slurm_jobs: tuple[int, int] = (200, 1000)
    """That are measured together."""
    slurm_held: tuple[int, ...] = (10, 100, 1000)
    """Jobs in the queue that is looked at."""
    requests: float = 5
    """Seconds for which a server is asked as much as it can answer."""
    slurm_watched: float = 20
    """Seconds for which the looks are counted."""
    streams: int = 10
    """Large bodies that pass while memory is watched."""
    idle: float = 30


QUICK = Scale(
    size=16 << 20,
    runs=1,
    sizes=(1 << 10, 1 << 20),
    written=1 << 20,
    random_reads=10,
    crowd=64,
    jobs=2,
    lengths=(0.2,),
    short_jobs=1,
    minute=2,
    log=256 << 10,
    known=(10, 100),
    slurm_alone=1,
    slurm_jobs=(4, 8),
    slurm_held=(2, 4),
    requests=1,
    slurm_watched=4,
    streams=2,
    idle=2,
)


class Place:
    """The folder of one bench, and what runs for it. What rows share is made when first used."""

    def __init__(self, folder: Path, scale: Scale, stack: ExitStack) -> None:
        self.folder = folder
        self.scale = scale
        self._stack = stack
        self._shared: dict[str, Any] = {}
        self._mounts = 0
        self.pairs: dict[tuple[str, int], list[list[float]]] = {}
        """Seconds of ours and of curl's that were measured, by way and size, for the plot."""

    def shared(self, name: str, make: Callable[[], AbstractContextManager[T]]) -> T:
        """What is open under this name until the end. Raises RowFailed."""
        if name not in self._shared:
            self._shared[name] = self._stack.enter_context(make())
        return self._shared[name]  # type: ignore[no-any-return]

    @property
    def origin(self) -> Origin:
        ended = {BODIES: [f"b{size}" for size in self._sizes()]}
        return self.shared("origin", lambda: open_origin(self.folder / "origin", ended))

    def _sizes(self) -> set[int]:
        return {self.scale.size, *self.scale.sizes}

    @property
    def crowd(self) -> list[str]:
        """The names of small files."""
        return [f"c{number}" for number in range(self.scale.crowd)]

    @property
    def service(self) -> Service:
        return self.shared("service", lambda: open_service(self.folder / "service", self.crowd))

    def of_service(self, function: str, port: int | None = None) -> AbstractContextManager[Mount]:
        """joe/FUNCTION of the local server over https, through the port of a relay if given."""
        endpoint = f"https://localhost:{port or self.service.port}"
        flags = ["--endpoint", endpoint, "--ca-file", str(self.service.ca_file)]
        env = {"PIFOPFS_API_KEY": self.service.key(function)}
        return mounted(self.mount(f"joe/{function}", *flags, env=env))

    def mount(self, function: str, *flags: str, env: dict[str, str] | None = None) -> Mount:
        """A mount that is not there yet, in a folder of its own."""
        self._mounts += 1
        return Mount(self.folder / f"m{self._mounts}", function, *flags, env=env)

    @property
    def https(self) -> Mount:
        """joe/bench of the origin over https."""
        return self.shared("https", lambda: mounted(self.of_origin()))

    def of_origin(self) -> Mount:
        """Another mount of the same, which is not there yet."""
        flags = ["--endpoint", self.origin.https, "--ca-file", str(self.origin.ca_file)]
        return self.mount("joe/bench", *flags)

    @property
    def known(self) -> Mount:
        """A mount of the origin, for rows that fill it with executions: see `listing`."""
        return self.shared("known", lambda: mounted(self.of_origin()))

    def plain(self, endpoint: str, function: str = "bench") -> AbstractContextManager[Mount]:
        """Over plain http."""
        flags = ["--endpoint", endpoint, "--allow-plain-http"]
        return mounted(self.mount(f"joe/{function}", *flags))

    @property
    def http(self) -> Mount:
        """joe/bench of the origin over plain http."""
        return self.shared("http", lambda: self.plain(self.origin.http))

    def output(self, size: int) -> Path:
        """The file behind the output of this size of the execution BODIES, with the same name."""
        path = self.origin.outputs / f"b{size}"
        if not path.exists():
            write_random(path, size)
        return path

    def target(self) -> Path:
        """Where a copy goes: there is no such file now, nothing waits to be written, and there is
        memory for it that the machine has used before. (A virtual machine gives unused memory
        back to its host; to get it again costs more than all that is measured here.)
        """
        path = self.folder / "target"
        path.unlink(missing_ok=True)
        os.sync()
        with path.open("wb") as file:
            for _ in range(3 * self.scale.size // BLOCK):
                file.write(bytes(BLOCK))
        path.unlink()
        return path


def write_random(path: Path, size: int) -> None:
    """Bytes that no compression makes fewer."""
    with path.open("wb") as file:
        while size > 0:
            file.write(os.urandom(min(size, BLOCK)))
            size -= BLOCK


@contextmanager
def open_place(scale: Scale) -> Iterator[Place]:
    """A place in a new temporary folder; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="pifopfs-bench-"))
    try:
        with ExitStack() as stack:
            yield Place(folder, scale, stack)
    finally:
        _detach(folder)
        remove(folder)


def _detach(folder: Path) -> None:
    """What could not be unmounted must not be removed."""
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        path = line.split()[4]
        if path.startswith(f"{folder}/"):
            run(["fusermount3", "-uz", path])
