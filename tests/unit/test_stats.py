"""The metrics as text: whatever they tell of, Prometheus can read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pifopfs.mount.metrics import Metric
from pifopfs.mount.stats import render
from pifopfs.observing.histogram import Histogram

ODD = ["a b", 'quoted "so"', "two\nlines", "back\\slash", "müßig", "}{,="]


@pytest.mark.parametrize("odd", ODD)
def test_labels_come_back_as_they_were(odd: str) -> None:
    metric = Metric("counter", "x", "Of nothing.", {(odd,): 3.0}, ("what",))
    (family,) = text_string_to_metric_families(render([metric], Path("/m", odd)).decode())
    (sample,) = family.samples
    assert sample.name == "pifopfs_x_total"
    assert sample.labels == {"mountpoint": f"/m/{odd}", "what": odd}
    assert sample.value == 3


def test_a_mountpoint_of_any_bytes_can_be_shown() -> None:
    text = render([Metric("gauge", "x", "Of nothing.", {(): 1.0})], Path("/m/\udcff")).decode()
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"mountpoint": "/m/\ufffd"}


def test_a_histogram_is_one_to_prometheus() -> None:
    histogram = Histogram()
    for seconds in (0.0001, 3.0, 100.0):
        histogram.add(seconds)
    metric = Metric("histogram", "took_seconds", "Of nothing.", {("open",): histogram}, ("what",))
    (family,) = text_string_to_metric_families(render([metric], Path("/m")).decode())
    assert family.type == "histogram"
    values = {sample.labels.get("le", sample.name[-5:]): sample.value for sample in family.samples}
    assert (values["0.001"], values["10.0"], values["+Inf"]) == (1, 2, 3)
    assert (values["count"], values["s_sum"]) == (3, pytest.approx(103.0001))
