"""API keys: from where, and that they are never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pifopfs.api import ApiKey
from pifopfs.errors import CredentialsInvalid

SECRET = "apikey_secret"


def test_a_key_is_revealed_only_when_asked() -> None:
    key = ApiKey(SECRET)
    assert key.reveal() == SECRET
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr({"k": key})):
        assert "secret" not in shown


def test_a_key_from_a_file_is_stripped(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"  {SECRET}\n\n")
    assert ApiKey.from_file(tmp_path / "key").reveal() == SECRET


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


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", "ü".encode()])
def test_a_file_without_a_key_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CredentialsInvalid, match=str(path)):
        ApiKey.from_file(path)


def test_a_variable_without_a_key_is_named() -> None:
    with pytest.raises(CredentialsInvalid, match="PIFOPFS_API_KEY"):
        ApiKey.from_environment({"PIFOPFS_API_KEY": " "})


def test_a_key_has_no_attributes_to_be_dumped_by() -> None:
    assert not hasattr(ApiKey(SECRET), "__dict__")
    assert b"secret" in pickle.dumps(ApiKey(SECRET).reveal())  # only when revealed


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(CredentialsInvalid, match="/dev/zero"):
        ApiKey.from_file(Path("/dev/zero"))
