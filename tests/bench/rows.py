"""All rows, in the order of the table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

from tests.bench.measure import Result
from tests.bench.place import Place

ROWS = {
    "read-https": "bodies.read_https",
    "read-http": "bodies.read_http",
    "warm": "bodies.warm",
    "upload-https": "bodies.upload_https",
    "write-4k": "writes.write_4k",
    "fputc": "writes.fputc",
    "random-first": "scattered.first",
    "random-ranges": "scattered.with_ranges",
    "random-whole": "scattered.without_ranges",
    "job": "job.job",
    "job-50ms": "job.job_50ms",
    "notice": "waiting.notice",
    "wait-requests": "waiting.wait_requests",
    "tail": "log.tail",
    "listing": "listing.listing",
    "crowd-inputs": "crowd.crowd_inputs",
    "crowd-outputs": "crowd.crowd_outputs",
    "memory-streaming": "footprint.memory_streaming",
    "memory-known": "footprint.memory_known",
    "startup": "footprint.start_up",
    "idle": "footprint.idle",
    "server": "server.server",
    "by-size": "bodies.by_size",
    "slurm-looks": "slurm.looks.looks",
    "slurm-running": "slurm.running.running",
    "slurm-job": "slurm.jobs.one",
    "slurm-200": "slurm.jobs.many",
    "slurm-naps": "slurm.jobs.naps",
    "slurm-1000": "slurm.jobs.thousand",
    "scale": "scale.scale",
}
"""The function of each; its module is imported when the row is measured: not all are for all."""


def find_row(name: str) -> Callable[[Place], Iterator[Result]]:
    """What measures the row. Raises ImportError where a package for it is missing."""
    module, _, function = ROWS[name].rpartition(".")
    found: Callable[[Place], Iterator[Result]] = getattr(
        importlib.import_module(f"tests.bench.{module}"), function
    )
    return found
