"""nginx as a service that is as fast as they come: `joe/bench`, played from static files.

Executions exec_ENDED1, exec_ENDED2 … have ended, exec_RUNNING runs for ever; every other one is
pending and takes any input, into a file that is then removed.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.bench.processes import RowFailed, eventually, started

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
TEMPLATE = Path(__file__).parent / "nginx.conf"


@dataclass(frozen=True, slots=True)
class Request:
    """One request that nginx has answered."""

    connection: str
    method: str
    path: str
    sent: int
    """Bytes of the answer."""


@dataclass(frozen=True, slots=True)
class Origin:
    """nginx, up."""

    folder: Path
    outputs: Path
    """The files behind the outputs."""
    http: str
    https: str

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def output_url(self, execution: str, name: str) -> str:
        return f"{self.https}/joe/bench/executions/{execution}/output/{name}"

    def input_url(self, name: str) -> str:
        return f"{self.https}/joe/bench/executions/exec_PENDING/input/{name}"

    def requests(self, since: int = 0) -> list[Request]:
        """What it has answered, from the `since`th on."""
        lines = (self.folder / "requests.log").read_text().splitlines()[since:]
        fields = (line.split() for line in lines)
        return [Request(each[1], each[2], each[3], int(each[5])) for each in fields]


@contextmanager
def open_origin(folder: Path, ended: Mapping[str, Sequence[str]]) -> Iterator[Origin]:
    """nginx in this folder, while the block runs; `ended` tells which executions have which
    outputs. Raises RowFailed.
    """
    if NGINX is None:
        raise RowFailed("nginx is missing: scripts/install --bench")
    outputs = folder / "outputs"
    outputs.mkdir(parents=True)
    _write_certificates(folder)
    http, https = free_ports(2)
    values = {
        "user": "user root;" if os.geteuid() == 0 else "",
        "folder": str(folder),
        "outputs": str(outputs),
        "http": str(http),
        "https": str(https),
    }
    _write_configuration(folder / "nginx.conf", values)
    origin = Origin(folder, outputs, f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}")
    for execution, names in ended.items():
        _write_ended(folder / f"{execution}.json", execution, names)
    log = folder / "error.log"
    with started([NGINX, "-p", folder, "-e", log, "-c", folder / "nginx.conf"]) as process:
        eventually(lambda: _ready(process, log, http), "nginx listens")
        yield origin


def _write_ended(path: Path, execution: str, names: Sequence[str]) -> None:
    document = {
        "id": execution,
        "func_author": "joe",
        "func_id": "bench",
        "status": "ended",
        "end_reason": "normal",
        "log": "",
        "output": [{"id": name, "path": name} for name in names],
    }
    path.write_text(json.dumps(document))


def _write_configuration(path: Path, values: dict[str, str]) -> None:
    text = TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    path.write_text(text)


def _write_certificates(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert("localhost", "127.0.0.1")
    _write_all(folder / "cert.pem", (blob.bytes() for blob in server.cert_chain_pems))
    server.private_key_pem.write_to_path(folder / "key.pem")


def _write_all(path: Path, pieces: Iterable[bytes]) -> None:
    path.write_bytes(b"".join(pieces))


def _ready(process: subprocess.Popen[str], log: Path, port: int) -> bool:
    if process.poll() is not None:
        raise RowFailed(f"nginx ended: {log.read_text() if log.exists() else ''}")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Ports that nobody has just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
