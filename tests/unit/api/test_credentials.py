"""API keys: from where, and that they are never shown."""

from __future__ import annotations

import pickle

import pytest

from pifopfs.api import ApiKey
from pifopfs.errors import CredentialsInvalid

SECRET = "apikey_secret"


def test_a_key_is_revealed_only_when_asked() -> None:
    key = ApiKey(SECRET)
    assert key.reveal() == SECRET
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr({"k": key})):
        assert "secret" not in shown


def test_a_key_from_the_environment() -> None:
    key = ApiKey.from_environment({"PIFOPFS_API_KEY": SECRET})
    assert key is not None
    assert key.reveal() == SECRET
    assert ApiKey.from_environment({}) is None


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "ü", "a\0", "x" * 5000])
def test_what_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(CredentialsInvalid) as raised:
        ApiKey(text, "the file F")
    assert "the file F" in str(raised.value)
    assert not text or text not in str(raised.value)


def test_a_variable_without_a_key_is_named() -> None:
    with pytest.raises(CredentialsInvalid, match="PIFOPFS_API_KEY"):
        ApiKey.from_environment({"PIFOPFS_API_KEY": " "})


def test_a_key_has_no_attributes_to_be_dumped_by() -> None:
    assert not hasattr(ApiKey(SECRET), "__dict__")
    assert b"secret" in pickle.dumps(ApiKey(SECRET).reveal())  # only when revealed
