"""What keeps a server up."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from pifopfs.server.occupancy import Occupancy


async def test_it_is_vacant_only_after_nobody_has_held_it_for_the_whole_time(
    autojump_clock: MockClock,
) -> None:
    occupancy = Occupancy()

    async def hold(begin: float, end: float) -> None:
        await trio.sleep(begin)
        with occupancy.held():
            await trio.sleep(end - begin)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, 50, 100)
        nursery.start_soon(hold, 90, 200)
        nursery.start_soon(hold, 250, 251)
        await occupancy.vacant_for(60)
        assert trio.current_time() - began == 251 + 60
