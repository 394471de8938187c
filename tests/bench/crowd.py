"""Many small files, 32 at a time: inputs and outputs of one execution of the local server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.measure import Result, alternate, at_least, rates
from tests.bench.mounts import Mount, inside
from tests.bench.place import Place
from tests.bench.processes import RowFailed, run
from tests.bench.rivals import curl_crowd
from tests.bench.service import CROWD

SMALL = 4096
"""Bytes of each file."""


def crowd_inputs(place: Place) -> Iterator[Result]:
    """Each is opened, written and closed by one of 32 threads."""
    with _mount(place) as mount:

        def ours() -> float:
            execution = mount.make()
            seconds = _write(place, execution)
            run(["rmdir", execution])
            return seconds

        def curl() -> float:
            execution = mount.make()
            url = _url(place, execution, "input")
            each = (
                f'upload-file = "{_file(place)}"\nurl = "{url}/{name}"\noutput = "/dev/null"\n'
                for name in place.crowd
            )
            seconds = curl_crowd(_config(place, 'request = "POST"\n' + "".join(each)))
            run(["rmdir", execution])
            return seconds

        yield _compared(place, "crowd-inputs", ours, curl)


def crowd_outputs(place: Place) -> Iterator[Result]:
    """Each is opened, read and closed by one of 32 threads."""
    with _mount(place) as mount:
        execution = mount.make()
        _write(place, execution)
        run(["sh", "-c", 'echo 1 > "$0/start" && cat "$0/wait"', execution])

        def ours() -> float:
            run(["sh", "-c", 'cd "$0" && rm -f -- *', execution / "output"])
            sizes = inside("read", execution / "output", place.scale.crowd)
            if sizes["bytes"] != SMALL * place.scale.crowd:
                raise RowFailed(f"{sizes['bytes']} bytes were read")
            return sizes["seconds"]

        def curl() -> float:
            url = _url(place, execution, "output")
            each = (f'url = "{url}/{name}"\noutput = "/dev/null"\n' for name in place.crowd)
            return curl_crowd(_config(place, "".join(each)))

        yield _compared(place, "crowd-outputs", ours, curl)


@contextmanager
def _mount(place: Place) -> Iterator[Mount]:
    with place.of_service(CROWD) as mount:
        yield mount


def _write(place: Place, execution: Path) -> float:
    written = inside("write", execution / "input", place.scale.crowd, _file(place))
    return float(written["seconds"])


def _file(place: Place) -> Path:
    path = place.folder / "crowd-file"
    if not path.exists():
        path.write_bytes(bytes(range(256)) * (SMALL // 256))
    return path


def _url(place: Place, execution: Path, part: str) -> str:
    id_ = run(["cat", execution / "id"]).strip()
    return f"{place.service.https}/joe/{CROWD}/executions/{id_}/{part}"


def _config(place: Place, transfers: str) -> Path:
    path, service = place.folder / "crowd.curl", place.service
    key = f'header = "Authorization: Bearer {service.key(CROWD)}"\n'
    path.write_text(f'cacert = "{service.ca_file}"\n{key}{transfers}')
    path.chmod(0o600)
    return path


def _compared(
    place: Place, row: str, ours: Callable[[], float], curl: Callable[[], float]
) -> Result:
    count = place.scale.crowd
    figures = alternate(place.scale.runs, ours, curl)
    return Result(
        row,
        "files/s",
        rates(count, figures[0]),
        rates(count, figures[1]),
        "curl --parallel",
        at_least(0.9),
    )
