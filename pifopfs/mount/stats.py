"""`.pifopfs/stats`: the metrics of a mount in the text format of Prometheus.

The library that writes it is loaded when somebody first reads the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from pifopfs.api import FunctionClient
from pifopfs.fuse import Activity
from pifopfs.mount.metrics import PREFIX, Metric, of_fuse, of_mount, of_service, of_tree
from pifopfs.observing.histogram import Histogram
from pifopfs.tree.tree import Tree

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

MOUNTPOINT = "mountpoint"
"""A label of every metric: where files of several mounts are collected, each is to be known."""


@dataclass
class Stats:
    """The metrics of one mount."""

    mountpoint: Path
    function: str
    activity: Activity
    client: FunctionClient
    tree: Tree | None = None
    """Set once it is there."""
    began: float = field(default_factory=time.time)

    def metrics(self) -> Iterator[Metric]:
        """All of them, as they are now."""
        yield from of_mount(self.function, self.began)
        yield from of_fuse(self.activity)
        yield from of_service(self.client)
        if self.tree is not None:
            yield from of_tree(self.tree)

    async def text(self) -> bytes:
        """What the file shows."""
        await trio.to_thread.run_sync(import_module, "prometheus_client")
        return render(self.metrics(), self.mountpoint)


def render(metrics: Iterable[Metric], mountpoint: Path) -> bytes:
    """The text of metrics."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    place = os.fsencode(mountpoint).decode(errors="replace")

    class Once(Collector):
        def collect(self) -> Iterator[Family]:
            return (_family(metric, place) for metric in metrics)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def _family(metric: Metric, place: str) -> Family:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    name, labels = PREFIX + metric.name, [MOUNTPOINT, *metric.labels]
    values = [([place, *named], value) for named, value in metric.values.items()]
    if metric.kind == "histogram":
        histograms = HistogramMetricFamily(name, metric.meaning, labels=labels)
        for named, value in values:
            assert isinstance(value, Histogram)  # noqa: S101  # that is its kind
            histograms.add_metric(named, value.buckets(), value.total)
        return histograms
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(name, metric.meaning, labels=labels)
    for named, value in values:
        assert isinstance(value, int | float)  # noqa: S101  # that is its kind
        family.add_metric(named, value)
    return family
