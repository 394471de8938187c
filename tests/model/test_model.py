"""Random calls on a real mount against the model of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import MountMachine
from tests.model.restarts import RestartingMachine
from tests.model.site import Site
from tests.soak import SOAK, amount


def budget(examples: int, steps: int) -> settings:
    """The same sequences every time, unless we soak."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=not SOAK,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# > what was open before the start (a temporary name, a removed file) can still be written and
# > truncated
#
# > after a new mount, which has forgotten the failure, by the next close of a writer, too.
#
# > A file that an open for reading has made is complete at once, and uploaded.
@pytest.mark.timeout(amount(600, 36_000))
@pytest.mark.parametrize(
    ("machine", "examples", "steps"),
    [
        (MountMachine, amount(35, 3_000), 35),
        (RestartingMachine, amount(6, 500), 40),
    ],
)
def test_a_mount_does_what_the_model_says(
    root: Path, machine: type[MountMachine], examples: int, steps: int
) -> None:
    with Site(root) as site:
        on_site = type(machine.__name__, (machine,), {"site": site})
        run_state_machine_as_test(on_site, settings=budget(examples, steps))
