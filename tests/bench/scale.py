"""What one local server can do, for docs/SCALE.md: how far it goes before another one is needed."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pycurl

from pifopfs.server.store import Store
from tests.bench.calls import Caller
from tests.bench.measure import Result
from tests.bench.place import Place
from tests.bench.processes import cpu_times, memory
from tests.bench.service import Service

FUNCTION = "nothing"
AT_ONCE = 8
"""Connections."""
RECORDS = 2000


def scale(place: Place) -> Iterator[Result]:
    """Requests, records, memory."""
    service = place.service
    with closing(Caller(service.https, FUNCTION, service.ca_file, service.key(FUNCTION))) as caller:
        yield from _known(service, caller, place.scale.known[-1] // 5)
        made = _made(caller)
        asked = [_asked(place, made) for _ in range(place.scale.runs)]
        caller.call("DELETE", f"{made}?include_log=false")
    yield Result("scale-requests", "a second", asked)
    yield from _records(place)


def _made(caller: Caller) -> str:
    return f"/executions/{json.loads(caller.call('POST', '/executions'))['id']}"


def _known(service: Service, caller: Caller, count: int) -> Iterator[Result]:
    """So many executions that never start."""
    before, (begun, _) = memory([service.pid])["VmRSS"], cpu_times(service.pid)
    made = [_made(caller) for _ in range(count)]
    taken = cpu_times(service.pid)[0] - begun
    grown = memory([service.pid])["VmRSS"] - before
    for execution in made:
        caller.call("DELETE", f"{execution}?include_log=false")
    yield Result("scale-memory", "kB each", [1024 * grown / count])
    yield Result("scale-create-cpu", "ms each", [1e3 * taken / count])


def _asked(place: Place, execution: str) -> float:
    """Requests for an execution answered in a second, over connections that are kept."""
    service, count = place.service, 0
    many, handles = pycurl.CurlMulti(), [_handle(service, execution) for _ in range(AT_ONCE)]
    for handle in handles:
        many.add_handle(handle)
    begun = time.perf_counter()
    end = begun + place.scale.requests
    while time.perf_counter() < end:
        many.perform()
        _, done, failed = many.info_read()
        assert not failed
        for handle in done:
            count += 1
            many.remove_handle(handle)
            many.add_handle(handle)
        many.select(0.01)
    seconds = time.perf_counter() - begun
    for handle in handles:
        many.remove_handle(handle)
        handle.close()
    many.close()
    return count / seconds


def _handle(service: Service, execution: str) -> pycurl.Curl:
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, f"{service.https}/joe/{FUNCTION}{execution}?include_log=false")
    handle.setopt(pycurl.CAINFO, str(service.ca_file))
    handle.setopt(pycurl.HTTPHEADER, [f"Authorization: Bearer {service.key(FUNCTION)}"])
    handle.setopt(pycurl.WRITEFUNCTION, lambda _: None)
    return handle


def _records(place: Place) -> Iterator[Result]:
    """What the store takes by itself, in the bench's folder."""
    rows: dict[str, list[float]] = {"create": [], "change": [], "find": []}
    for _ in range(place.scale.runs):
        with (
            tempfile.TemporaryDirectory(dir=place.folder) as folder,
            closing(Store(Path(folder))) as store,
        ):
            records = []
            rows["create"].append(_rate(lambda s=store, r=records: r.append(s.create("joe", "f"))))
            todo = iter(records)
            rows["change"].append(_rate(lambda s=store, t=todo: s.change(next(t), trace="x")))
            todo = iter(records)
            rows["find"].append(_rate(lambda s=store, t=todo: s.find(next(t).id)))
    for name, figures in rows.items():
        yield Result(f"scale-{name}", "a second", figures)


def _rate(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for _ in range(RECORDS):
        work()
    return RECORDS / (time.perf_counter() - begun)
