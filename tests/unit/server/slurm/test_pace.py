"""How fast jobs are submitted, and how many are in the queue at once."""

from __future__ import annotations

import trio
import trio.testing

from pifopfs.server.engines.slurm.pace import Pace


async def test_no_more_jobs_are_in_the_queue_than_allowed_and_the_first_comes_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pace, order, at_once, most = Pace(1000, 3), list[str](), 0, 0

    async def job(name: str) -> None:
        nonlocal at_once, most
        await pace.enter(name)
        order.append(name)
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(1)
        at_once -= 1
        pace.leave()

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(job, str(number))
            await trio.sleep(0.001)
        assert pace.before("3") == 0
        assert pace.before("9") == 6
        assert pace.before("0") is None
    assert most == 3
    assert order == [str(number) for number in range(10)]


async def test_submissions_keep_a_rate(autojump_clock: trio.testing.MockClock) -> None:
    pace, began = Pace(10, 1000), trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(51):
            nursery.start_soon(pace.turn)
    assert abs(trio.current_time() - began - 5.0) < 0.01


async def test_who_gives_up_waits_no_more(autojump_clock: trio.testing.MockClock) -> None:
    pace = Pace(1000, 1)
    await pace.enter("first")
    with trio.move_on_after(1):
        await pace.enter("second")
        raise AssertionError
    assert pace.before("second") is None
    pace.leave()
    with trio.fail_after(1):
        await pace.enter("third")


async def test_jobs_of_an_earlier_server_count_even_where_they_are_too_many(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pace = Pace(1000, 1)
    pace.join()
    pace.join()
    pace.leave()
    with trio.move_on_after(1):
        await pace.enter("new")
        raise AssertionError
    pace.leave()
    with trio.fail_after(1):
        await pace.enter("new")


async def test_what_slurm_does_not_take_is_tried_ever_more_rarely_and_keeps_nobody_else(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pace, tries, full = Pace(1000, 1000), list[float](), True
    began = trio.current_time()

    async def job(number: int) -> None:
        while True:
            await pace.try_again("full", str(number))
            tries.append(trio.current_time() - began)
            if not full:
                pace.took("full")
                return

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(job, number)
        await trio.sleep(1)
        assert {pace.before(str(number)) for number in range(100)} >= {*range(50)}
        with trio.fail_after(0.1):
            await pace.turn()  # of another kind
        await trio.sleep(600)
        assert 5 < len(tries) < 20
        full = False
        nursery.cancel_scope.deadline = trio.current_time() + 70
    assert len(tries) >= 100
    assert tries[-1] - tries[-90] < 1
