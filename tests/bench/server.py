"""The local server, beside nginx on the same machine; the client is curl."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.bodies import MEGA
from tests.bench.calls import Caller
from tests.bench.measure import Result, alternate, at_least, at_most, rates
from tests.bench.place import BODIES, Place
from tests.bench.processes import RowFailed, memory, timed
from tests.bench.rivals import curl_get, curl_post

MAKE_PATIENCE = 120.0
GROWTH = 64.0
"""Megabytes that the server may take while large bodies pass: far less than one of them."""


def server(place: Place) -> Iterator[Result]:
    """A large output, then a large input, over TLS."""
    service, origin, file = place.service, place.origin, place.output(place.scale.size)
    megabytes, key = place.scale.size / MEGA, service.key("maker")
    caller = Caller(service.https, "maker", service.ca_file, key)
    made = _make(caller, place.scale.size)
    resting = memory([service.pid])["VmRSS"]
    ours, nginx = alternate(
        place.scale.runs,
        lambda: _get(service.ca_file, key, f"{service.https}/joe/maker{made}/output/r"),
        lambda: curl_get(origin, origin.output_url(BODIES, file.name), "/dev/null"),
    )
    ours, nginx = rates(megabytes, ours), rates(megabytes, nginx)
    yield Result("server-out", "MB/s", ours, nginx, "nginx", at_least(0.5))
    caller.call("DELETE", made)
    ours, nginx = alternate(
        place.scale.runs,
        lambda: _put(caller, service.ca_file, key, file, service.https),
        lambda: curl_post(origin.ca_file, file, origin.input_url("in")),
    )
    ours, nginx = rates(megabytes, ours), rates(megabytes, nginx)
    yield Result("server-in", "MB/s", ours, nginx, "nginx", at_least(0.35))
    grown = memory([service.pid])["VmHWM"] - resting
    yield Result("server-memory", "MB more", [grown], target=at_most(GROWTH))
    caller.close()


def _make(caller: Caller, size: int) -> str:
    """The path of an execution that has ended, with an output of this size."""
    made = json.loads(caller.call("POST", "/executions"))
    path = f"/executions/{made['id']}"
    caller.call("POST", f"{path}/input/a", str(size).encode())
    caller.call("POST", f"{path}/start")
    end = time.monotonic() + MAKE_PATIENCE
    while json.loads(caller.call("GET", path))["status"] != "ended":
        if time.monotonic() > end:
            raise RowFailed(f"no output of {size} bytes within {MAKE_PATIENCE:g} s")
        time.sleep(0.1)
    return path


def _get(ca_file: Path, key: str, url: str) -> float:
    command = ["curl", "-sSf", "--cacert", ca_file, "-H", f"Authorization: Bearer {key}"]
    return timed([*command, "-o", "/dev/null", url])


def _put(caller: Caller, ca_file: Path, key: str, file: Path, endpoint: str) -> float:
    made = json.loads(caller.call("POST", "/executions"))
    path = f"/executions/{made['id']}"
    url = f"{endpoint}/joe/maker{path}/input/a"
    seconds = curl_post(ca_file, file, url, "-H", f"Authorization: Bearer {key}")
    caller.call("DELETE", path)
    return seconds
