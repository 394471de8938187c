"""The formulas of freshness."""

from pathlib import Path

import pytest

from pifopfs.tree.settings import Settings

SETTINGS = Settings(Path("/s"), Path("/c"))


# > first every 50 ms, then at a tenth of the execution's age, at most every 2 s.
@pytest.mark.parametrize(
    ("age", "interval"), [(0, 0.05), (0.5, 0.05), (5, 0.5), (20, 2.0), (1e6, 2.0)]
)
def test_waiting_polls_at_a_tenth_of_the_age_within_bounds(age: float, interval: float) -> None:
    assert SETTINGS.poll_interval(age) == pytest.approx(interval)


def test_the_first_minute_of_waiting_takes_at_most_seventy_requests() -> None:
    now, requests = 0.0, 0
    while now < 60:
        now += SETTINGS.poll_interval(now)
        requests += 1
    assert requests <= 70


# > The status is at most one second old (`PIFOPFS_FRESHNESS`), younger for young executions,
def test_a_look_is_at_most_a_second_old() -> None:
    assert SETTINGS.status_age(1e6) == 1.0


# > It is fetched at most once a second, less often where that takes long.
def test_a_log_that_is_slow_to_fetch_is_fetched_less_often() -> None:
    assert SETTINGS.log_age(0.01) == 1.0
    assert SETTINGS.log_age(3.0) == 30.0


# > Where the service can only send the whole log, who follows it has it fetched the less often the
# > longer it is: every 4 s for each MiB, at least once a minute;
def test_a_long_log_that_comes_whole_is_fetched_less_often_by_who_follows_it() -> None:
    assert SETTINGS.follow_age(0.01, 100_000) == 1.0
    assert SETTINGS.follow_age(0.01, 10 << 20) == 40.0
    assert SETTINGS.follow_age(0.01, 1 << 30) == 60.0
    assert SETTINGS.follow_age(10.0, 0) == SETTINGS.log_age(10.0)


def test_a_minute_of_following_takes_at_most_three_times_the_log() -> None:
    for size in (1 << 20, 10 << 20, 1 << 30):
        now, fetched = 0.0, 0
        while now < 60:
            fetched += size
            now += SETTINGS.follow_age(0.01, size)
        assert fetched <= max(3 * size, 16 << 20)
