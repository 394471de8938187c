"""Files that hold a key: whose they must be, and that another key in them is found."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from pifopfs.api import KeyFile
from pifopfs.errors import CredentialsInvalid

SECRET = "apikey_secret"
STRANGER, OTHER = 65533, 65532


def write(path: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_from_a_file_is_stripped(tmp_path: Path) -> None:
    assert KeyFile(write(tmp_path / "key", f"  {SECRET}\n\n")).key.reveal() == SECRET


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", "ü".encode()])
def test_a_file_without_a_key_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        write(path).write_bytes(content)
    with pytest.raises(CredentialsInvalid, match=str(path)):
        KeyFile(path)


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(CredentialsInvalid, match="directory"):
        KeyFile(tmp_path, guarded=True)


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(CredentialsInvalid, match="/dev/zero"):
        KeyFile(Path("/dev/zero"), guarded=True)


# ── Whose it is ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o601])
def test_a_file_that_others_can_use_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "key", mode=mode)
    with pytest.raises(CredentialsInvalid) as raised:
        KeyFile(path)
    assert f"chmod 600 {path}" in str(raised.value)
    assert f"{mode:04o}" in str(raised.value)
    assert SECRET not in str(raised.value)
    path.chmod(0o600)
    assert KeyFile(path).key.reveal() == SECRET


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_the_user_alone_is_read(tmp_path: Path, mode: int) -> None:
    assert KeyFile(write(tmp_path / "key", mode=mode)).key.reveal() == SECRET


def test_modes_say_nothing_of_what_systemd_guards(tmp_path: Path) -> None:
    path = write(tmp_path / "key", mode=0o440)  # with an access list, whose mask this shows
    assert KeyFile(path, guarded=True).key.reveal() == SECRET


def seen_as(monkeypatch: pytest.MonkeyPatch, user: int, owner: int, mode: int = 0o600) -> None:
    """Files have this owner and mode, to this user."""
    status = os.fstat

    def fstat(file: int) -> object:
        real = status(file)
        names = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
        facts = {name: getattr(real, name) for name in names}
        return SimpleNamespace(st_uid=owner, st_mode=stat.S_IFREG | mode, **facts)

    monkeypatch.setattr("os.fstat", fstat)
    monkeypatch.setattr("os.geteuid", lambda: user)


@pytest.mark.parametrize(("user", "owner"), [(STRANGER, STRANGER), (STRANGER, 0), (0, STRANGER)])
def test_a_file_of_the_user_or_of_root_is_read_and_root_reads_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, owner: int
) -> None:
    path = write(tmp_path / "key")
    seen_as(monkeypatch, user, owner)
    assert KeyFile(path).key.reveal() == SECRET


@pytest.mark.parametrize(("owner", "mode"), [(OTHER, 0o600), (OTHER, 0o644), (0, 0o640)])
def test_a_file_of_somebody_else_is_to_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int
) -> None:
    path = write(tmp_path / "key")
    seen_as(monkeypatch, STRANGER, owner, mode)
    with pytest.raises(CredentialsInvalid, match="install -m 600"):
        KeyFile(path)


# ── Changes ───────────────────────────────────────────────────────────────────────────────────


def test_another_key_in_the_file_is_found(tmp_path: Path) -> None:
    file = KeyFile(write(tmp_path / "key"))
    (tmp_path / "key").write_text("apikey_SECRET")  # as long
    assert file.look().reveal() == file.key.reveal() == "apikey_SECRET"
    write(tmp_path / "new", "apikey_third").replace(tmp_path / "key")
    assert file.look().reveal() == "apikey_third"


def test_a_file_that_has_not_changed_is_not_read_again_unless_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = KeyFile(write(tmp_path / "key")), []
    real = os.open
    monkeypatch.setattr("os.open", lambda *args: opened.append(args) or real(*args))
    file.look()
    assert not opened
    file.read()
    assert opened


def test_what_has_become_of_a_file_is_told_and_its_key_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "key")
    file = KeyFile(path)
    for spoil in (lambda: path.chmod(0o644), lambda: path.write_text(""), path.unlink):
        spoil()
        with pytest.raises(CredentialsInvalid, match=str(path)):
            file.look()
        assert file.key.reveal() == SECRET


def test_a_key_through_a_pipe_is_waited_for_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    wait = os.set_blocking

    def write_then(file: int, blocking: bool) -> None:  # not before somebody waits for it
        wait(file, blocking)
        os.write(writing, SECRET.encode())
        os.close(writing)

    monkeypatch.setattr("os.set_blocking", write_then)
    file = KeyFile(Path(f"/dev/fd/{reading}"))
    os.close(reading)
    assert file.look().reveal() == file.read().reveal() == SECRET
