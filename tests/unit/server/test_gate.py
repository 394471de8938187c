"""The gate: which header is admitted as whom, and in which order it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.server.callers import MASTER, Caller
from pifopfs.server.gate import Gate, KeyGate, OwnUser, admit
from pifopfs.server.keys import KeyLimits, Keys
from pifopfs.server.limits import MEGABYTE, Limits
from pifopfs.server.refusals import KeyNeeded, Unknown
from pifopfs.server.store import Store


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    store = Store(tmp_path)
    yield Keys(store, tmp_path)
    store.close()


def ask(gate: Gate, authorization: str | None, function: str = "tsp") -> Caller:
    """Who asks about joe/FUNCTION, where only joe/tsp exists."""
    return admit(gate, lambda *name: name == ("joe", "tsp"), authorization, ("joe", function))


def test_on_a_socket_of_ones_own_everybody_is_the_master() -> None:
    for header in (None, "", "Bearer x", "Basic x"):
        assert ask(OwnUser(), header) is MASTER


def test_on_a_trusted_socket_no_key_is_needed_but_one_that_is_given_counts(keys: Keys) -> None:
    gate = KeyGate(keys, trusted=True)
    assert ask(gate, None) is MASTER
    key, text = keys.create("joe", "tsp", "david", KeyLimits())
    assert ask(gate, f"Bearer {text}").key == key.id
    for header in ("", "Bearer", "Bearer wrong"):
        with pytest.raises(KeyNeeded):
            ask(gate, header)


def test_elsewhere_a_key_is_needed(keys: Keys) -> None:
    gate = KeyGate(keys, trusted=False)
    assert ask(gate, f"Bearer {keys.master('joe', 'tsp')}") is MASTER
    for header in (None, "", "Bearer", "Bearer ", "Basic x", "Bearer undefined", "Bearer ü"):
        with pytest.raises(KeyNeeded):
            ask(gate, header)


def test_the_header_comes_first_then_the_function_then_the_key(keys: Keys, tmp_path: Path) -> None:
    gate = KeyGate(keys, trusted=False)
    with pytest.raises(KeyNeeded):
        ask(gate, None, "nothing")
    with pytest.raises(Unknown):
        ask(gate, "Bearer wrong", "nothing")
    assert not (tmp_path / "master-keys").exists()  # asking for what is not makes no key
    with pytest.raises(KeyNeeded):
        ask(gate, "Bearer wrong")


def test_a_caller_has_the_limits_of_the_key(keys: Keys) -> None:
    _, text = keys.create("joe", "tsp", "david", KeyLimits(1.5, 2, 3))
    caller = ask(KeyGate(keys, trusted=False), f"Bearer {text}")
    assert caller.limits == Limits(memory=3 * MEGABYTE // 2, time=120)
    assert caller.max_executions == 3
    assert not caller.is_master
