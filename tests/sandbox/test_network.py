"""A program has no network, unless its function asks for one."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Site
from tests.sandbox.conftest import Try
from tests.sandbox.outside import Listeners

pytestmark = pytest.mark.each_engine

NEVER = {"vsock", "vsock stream", "packet", "alg", "bluetooth", "raw"}


async def test_nothing_that_listens_is_reached(
    site: Site, attempts: Try, listeners: Listeners
) -> None:
    site.root.chmod(0o755)
    seen = await attempts("network.py", listeners.targets(site.socket))
    assert seen.escaped == []
    assert len(seen.attempts) == 4 + len(NEVER)
    assert seen.facts["interfaces"] == ["lo"]


async def test_a_function_that_asks_for_the_network_has_it(
    site: Site, attempts: Try, listeners: Listeners
) -> None:
    """This machine's own ports and abstract sockets too, but no files, and no other kinds."""
    site.root.chmod(0o755)
    seen = await attempts("network.py", listeners.targets(site.socket), sandbox={"network": True})
    assert set(seen.escaped) == {"tcp 127.0.0.1", "abstract"}
    assert seen.attempts.keys() >= NEVER


async def test_sockets_outside_of_network_namespaces_do_not_exist(attempts: Try) -> None:
    seen = await attempts("network.py", {})
    families = ("vsock", "vsock stream", "packet", "alg", "bluetooth")
    assert {seen.attempts[name] for name in families} == {"EAFNOSUPPORT"}
