"""Large bodies: reading an output, cold and warm, and uploading an input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Result, alternate, at_least, at_most, rates
from tests.bench.mounts import Mount
from tests.bench.place import BODIES, Place
from tests.bench.processes import RowFailed, run, timed
from tests.bench.rivals import curl_get, curl_post, rclone_mount

MEGA = 1e6


def read_https(place: Place) -> Iterator[Result]:
    """A cold read over https, by cp to a file, beside curl and rclone."""
    file, origin = place.output(place.scale.size), place.origin
    ours, curl, rclone = alternate(
        place.scale.runs,
        lambda: cold_copy(place, place.https, file),
        lambda: curl_get(origin, origin.output_url(BODIES, file.name), place.target()),
        lambda: _rclone_copy(place, file),
    )
    place.pairs["read", place.scale.size] = [ours, curl]
    megabytes = place.scale.size / MEGA
    yield Result(
        "read-https",
        "MB/s",
        rates(megabytes, ours),
        rates(megabytes, curl),
        "curl -o",
        at_least(0.85),
        facts={"goal": 1.0},
    )
    yield Result(
        "read-https-rclone",
        "MB/s",
        rates(megabytes, ours),
        rates(megabytes, rclone),
        "rclone mount",
        at_least(1.5),
    )


def read_http(place: Place) -> Iterator[Result]:
    """The same over plain http on loopback."""
    file, origin = place.output(place.scale.size), place.origin
    url = origin.output_url(BODIES, file.name).replace(origin.https, origin.http)
    ours, curl = alternate(
        place.scale.runs,
        lambda: cold_copy(place, place.http, file),
        lambda: curl_get(origin, url, place.target()),
    )
    megabytes = place.scale.size / MEGA
    yield Result(
        "read-http",
        "MB/s",
        rates(megabytes, ours),
        rates(megabytes, curl),
        "curl -o",
        at_least(0.9),
    )


def warm(place: Place) -> Iterator[Result]:
    """A read of what was read before, beside the same file in the disk's page cache."""
    file = place.output(place.scale.size)
    output, megabytes = (
        place.https.executions / BODIES / "output" / file.name,
        place.scale.size / MEGA,
    )
    cold_copy(place, place.https, file)
    first = _read(output)
    _read(file)
    ours, local = alternate(place.scale.runs, lambda: _read(output), lambda: _read(file))
    ours, local = rates(megabytes, ours), rates(megabytes, local)
    yield Result(
        "warm",
        "MB/s",
        ours,
        local,
        "local file",
        at_least(0.8),
        facts={"first read after the cold one": megabytes / first},
    )


def upload_https(place: Place) -> Iterator[Result]:
    """cp of a file to an input, until close has returned, beside curl -T."""
    ours, curl = place.pairs["upload", place.scale.size] = _uploads(place, place.scale.size)
    yield Result("upload-https", "s", ours, curl, "curl -T", at_most(1.15))


def by_size(place: Place) -> Iterator[Result]:
    """Reads and uploads of bodies of several sizes, for the plot."""
    for size in place.scale.sizes:
        for way, measure in {"read": _reads, "upload": _uploads}.items():
            seconds = place.pairs.get((way, size)) or measure(place, size)
            ours, curl = ([1e3 * each for each in side] for side in seconds)
            facts = {"plot": way, "bytes": size}
            yield Result(f"{way}-{size_name(size)}", "ms", ours, curl, "curl", facts=facts)


def _reads(place: Place, size: int) -> list[list[float]]:
    """Seconds of cold reads over https, ours and curl's."""
    file, origin = place.output(size), place.origin
    return alternate(
        place.scale.runs,
        lambda: cold_copy(place, place.https, file),
        lambda: curl_get(origin, origin.output_url(BODIES, file.name), place.target()),
    )


def _uploads(place: Place, size: int) -> list[list[float]]:
    """Seconds of uploads over https, ours and curl's."""
    file, origin = place.output(size), place.origin
    return alternate(
        place.scale.runs,
        lambda: upload(place, place.https, file),
        lambda: curl_post(origin.ca_file, file, origin.input_url("uploaded")),
    )


def size_name(size: int) -> str:
    """1024 is 1KiB."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{size / (1 << power):g}{unit}"
    return f"{size}B"


def cold_copy(place: Place, mount: Mount, file: Path) -> float:
    """Seconds of a cp of the output that is this file; nothing of it is cached before."""
    output, target = mount.executions / BODIES / "output" / file.name, place.target()
    run(["rm", "-f", output])
    seconds = timed(["cp", output, target])
    if target.stat().st_size != file.stat().st_size:
        raise RowFailed(f"{output} has {target.stat().st_size} bytes, not {file.stat().st_size}")
    return seconds


def upload(place: Place, mount: Mount, file: Path) -> float:
    """Seconds of a cp to an input of a new execution."""
    execution = mount.make()
    place.target()
    seconds = timed(["cp", file, execution / "input" / "big"])
    run(["rmdir", execution])
    return seconds


def _rclone_copy(place: Place, file: Path) -> float:
    with rclone_mount(place.origin, place.folder) as path:
        target = place.target()
        return timed(["cp", path / file.name, target])


def _read(path: Path) -> float:
    return timed(["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"])
