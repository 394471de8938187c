"""Many small files, 32 at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.measure import Result, alternate, at_least, rates
from tests.bench.place import CROWD, Place, write_random
from tests.bench.processes import RowFailed, run, timed
from tests.bench.rivals import curl_crowd

AT_ONCE = 32
SMALL = 4096
"""Bytes of each file."""
COPY = f'cd "$1" && ls | xargs -P {AT_ONCE} -n "$3" cp -t "$2"'


def crowd_inputs(place: Place) -> Iterator[Result]:
    """Small inputs of one execution."""
    source, origin = _files(place), place.origin
    config = place.folder / "crowd-in"
    config.write_text(
        f'cacert = "{origin.ca_file}"\nrequest = "POST"\n'
        + "".join(
            f'upload-file = "{source / name}"\n'
            f'url = "{origin.input_url(name)}"\noutput = "/dev/null"\n'
            for name in place.crowd
        )
    )

    def ours() -> float:
        execution = place.https.make()
        seconds = _copy(place, source, execution / "input")
        run(["rmdir", execution])
        return seconds

    yield _compared(place, "crowd-inputs", ours, lambda: curl_crowd(config))


def crowd_outputs(place: Place) -> Iterator[Result]:
    """Small outputs of one execution."""
    source, origin, target = _files(place), place.origin, place.folder / "crowd-target"
    for name in place.crowd:
        shutil.copy(source / name, origin.outputs / name)
    config = place.folder / "crowd-out"
    config.write_text(
        f'cacert = "{origin.ca_file}"\n'
        + "".join(
            f'url = "{origin.output_url(CROWD, name)}"\noutput = "{target / name}"\n'
            for name in place.crowd
        )
    )
    output = place.https.executions / CROWD / "output"

    def ours() -> float:
        run(["sh", "-c", 'cd "$0" && rm -f -- *', output])
        return _copy(place, output, _emptied(target))

    def curl() -> float:
        _emptied(target)
        return curl_crowd(config)

    yield _compared(place, "crowd-outputs", ours, curl)


def _compared(
    place: Place, row: str, ours: Callable[[], float], curl: Callable[[], float]
) -> Result:
    """Files a second, and the connections that ours took."""
    connections: list[int] = []

    def counted() -> float:
        before = len(place.origin.requests())
        seconds = ours()
        connections.append(len({each.connection for each in place.origin.requests(before)}))
        return seconds

    figures = alternate(place.scale.runs, counted, curl)
    return Result(
        row,
        "files/s",
        rates(place.scale.crowd, figures[0]),
        rates(place.scale.crowd, figures[1]),
        "curl --parallel",
        at_least(0.9),
        facts={"connections": connections},
    )


def _copy(place: Place, source: Path, target: Path) -> float:
    """Seconds of as many cp as there may be at once, which share the files."""
    share = str(-(-place.scale.crowd // AT_ONCE))
    seconds = timed(["sh", "-c", COPY, "sh", source, target, share])
    count = int(run(["sh", "-c", 'ls "$0" | wc -l', target]))
    if count != place.scale.crowd:
        raise RowFailed(f"{count} files of {place.scale.crowd} came to {target}")
    return seconds


def _files(place: Place) -> Path:
    folder = place.folder / "crowd-files"
    if not folder.exists():
        folder.mkdir()
        for name in place.crowd:
            write_random(folder / name, SMALL)
    return folder


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
