"""What a mount counts, as data: each metric with its meaning and what it is now.

docs/OBSERVABILITY.md lists them for users. How they are written is in `stats`.
"""

from __future__ import annotations

import errno
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pifopfs import __version__
from pifopfs.api import FunctionClient
from pifopfs.fuse import Activity
from pifopfs.observing.histogram import Histogram
from pifopfs.tree.execution import GONE
from pifopfs.tree.tree import Tree
from pifopfs.wire import Status

PREFIX = "pifopfs_"
STATES = (*map(str, Status), GONE)
LIBRARIES = ("pyfuse3", "trio", "httpx")

Values = Mapping[Any, float | Histogram]
"""By the values of the labels, a tuple of texts."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, without the prefix and without the suffix that counters have."""

    kind: str
    """`counter`, `gauge` or `histogram`."""
    name: str
    meaning: str
    values: Values
    labels: tuple[str, ...] = ()


def _one(value: float) -> Values:
    return {(): value}


def of_mount(function: str, began: float) -> Iterator[Metric]:
    """The mount itself. `began`: on the wall clock."""
    libraries = {name: version(name) for name in LIBRARIES}
    facts = {"version": __version__, "python": platform.python_version(), **libraries}
    build = {tuple(facts.values()): 1.0}
    yield Metric("gauge", "build_info", "The versions that run here.", build, tuple(facts))
    named = {(function,): 1.0}
    yield Metric("gauge", "mount_info", "The function that is mounted.", named, ("function",))
    yield Metric("gauge", "start_time_seconds", "When it was mounted (Unix time).", _one(began))
    yield Metric("gauge", "uptime_seconds", "Seconds since then.", _one(time.time() - began))


def of_fuse(activity: Activity) -> Iterator[Metric]:
    """The kernel's requests."""
    kinds = {(kind,): float(count) for kind, count in activity.requests().items()}
    yield Metric("counter", "fuse_requests", "Requests of the kernel.", kinds, ("operation",))
    failed = {
        (kind, errno.errorcode[number]): float(count)
        for (kind, number), count in activity.errors.items()
    }
    labels = ("operation", "errno")
    yield Metric("counter", "fuse_errors", "Those answered with an errno.", failed, labels)
    took = {(kind,): histogram for kind, histogram in activity.waits.items()}
    what = "How long those took that may wait for the service; `wait`: for an execution."
    yield Metric("histogram", "fuse_call_duration_seconds", what, took, ("operation",))
    now = _one(len(activity.calls))
    yield Metric("gauge", "fuse_calls", "Those that are under way and may wait.", now)
    yield Metric("counter", "fuse_read_bytes", "Bytes read from files.", _one(activity.read))
    yield Metric("counter", "fuse_written_bytes", "Bytes written.", _one(activity.written))
    yield Metric("gauge", "open_handles", "Open files.", _one(len(activity.files)))


def of_service(client: FunctionClient) -> Iterator[Metric]:
    """The requests to the service."""
    recorder, endpoint = client.recorder, ("endpoint",)
    ended = {
        (call.endpoint, outcome): float(count)
        for (call, outcome), count in recorder.outcomes.items()
    }
    what = "Requests to the service, tries and all, by HTTP code, or error where none came."
    yield Metric("counter", "http_requests", what, ended, ("endpoint", "code"))
    took = {(call.endpoint,): histogram for call, histogram in recorder.seconds.items()}
    yield Metric("histogram", "http_request_duration_seconds", "What they took.", took, endpoint)
    for name, meaning, counter in (
        ("http_retries", "Tries after the first.", recorder.retries),
        ("http_sent_bytes", "Bytes of bodies that were sent.", recorder.sent),
        ("http_received_bytes", "Bytes of bodies that came.", recorder.received),
    ):
        counts = {(call.endpoint,): float(count) for call, count in counter.items()}
        yield Metric("counter", name, meaning, counts, endpoint)
    what = "Requests not made because the service counts as down."
    yield Metric("counter", "http_held_back", what, _one(recorder.held_back))
    open_ones = _one(len(client.connections()))
    yield Metric("gauge", "http_connections", "Connections to the service.", open_ones)
    since = client.breaker.down_since
    down = _one(since is not None)
    yield Metric("gauge", "service_down", "1 while the service counts as down.", down)
    what = "Since when it does (Unix time); 0 where it does not."
    yield Metric("gauge", "service_down_since_seconds", what, _one(since or 0.0))


def of_tree(tree: Tree) -> Iterator[Metric]:
    """Executions and outputs."""
    counts = Counter(job.execution.state for job in tree.executions)
    states = {(state,): float(counts[state]) for state in STATES}
    yield Metric("gauge", "executions", "Executions that have a name here.", states, ("state",))
    allowed = tree.usage().allowed
    if allowed is not None:
        what = "Executions that the API key may run at once."
        yield Metric("gauge", "executions_allowed", what, _one(allowed))
    cache = tree.cache
    yield Metric("gauge", "cache_bytes", "Bytes of outputs in the cache.", _one(cache.used))
    yield Metric("gauge", "cache_limit_bytes", "Bytes that may be there.", _one(cache.limit))
    yield Metric("gauge", "cache_files", "Outputs in the cache.", _one(len(cache)))
    hits, misses = _one(cache.hits), _one(cache.misses)
    yield Metric("counter", "cache_hits", "Opens of outputs that were there.", hits)
    yield Metric("counter", "cache_misses", "Opens that joined or began a download.", misses)
    gone = _one(cache.evictions)
    yield Metric("counter", "cache_evictions", "Outputs that made room for others.", gone)
