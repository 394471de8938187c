"""Where the API key comes from, what `pifopfs login` stores, and that none of it is shown."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest

from pifopfs import config, errors
from pifopfs.api import ApiKey, Endpoint, KeyFile
from pifopfs.config import keyring, shown, stored
from pifopfs.config.keys import Place
from tests.unit.conftest import Write

M = Path("/mnt")
SERVICE = Endpoint.parse("https://func.pifop.com")


@pytest.fixture
def desktop(config_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a keyring, which is not there yet."""
    from tests.keyrings import Keyring

    monkeypatch.setattr("keyring.core._keyring_backend", Keyring())
    file = config_home / "keyring"
    monkeypatch.setenv("TEST_KEYRING", str(file))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.keyrings.Keyring")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return file


def secret(folder: Path, name: str) -> Path:
    """A file with a key of the same name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(f"apikey_{path.name}\n")
    return path


def key_of(environ: dict[str, str], function: str = "joe/tsp", **flags: object) -> str | None:
    """The key that a mount has, without the word before it."""
    key = config.load(function, M, environ, **flags).api_key  # type: ignore[arg-type]
    if key is None:
        return None
    text = key.reveal() if isinstance(key, ApiKey) else key.key.reveal()
    return text.removeprefix("apikey_")


def test_the_first_place_of_the_documented_order_that_has_a_key_counts(
    config_home: Path, user_file: Write, system_file: Write
) -> None:
    folder = config_home / "credentials"
    system_file(f"api_key_file = '{secret(config_home, 'system')}'")
    assert key_of({}) == "system"
    above = f"api_key_file = '{secret(config_home, 'above')}'\n"
    user_file(above)
    assert key_of({}) == "above"
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_login"), in_keyring=False)
    assert key_of({}) == "login"
    section = f"""[function."joe/tsp"]\napi_key_file = '{secret(config_home, "section")}'"""
    user_file(above + section)
    assert key_of({}) == "section"
    secret(folder, "pifopfs-key")
    environ = {"CREDENTIALS_DIRECTORY": str(folder)}
    assert key_of(environ) == "pifopfs-key"
    secret(folder, "pifopfs-key.joe@tsp")
    assert key_of(environ) == "pifopfs-key.joe@tsp"
    assert key_of(environ, "joe/other") == "pifopfs-key"
    environ["PIFOPFS_API_KEY"] = "apikey_variable"
    assert key_of(environ) == "variable"
    environ["PIFOPFS_API_KEY_FILE"] = str(secret(config_home, "variables_file"))
    assert key_of(environ) == "variables_file"
    assert key_of(environ, api_key_file=secret(config_home, "flag")) == "flag"


def test_a_place_without_a_key_is_an_error_and_not_passed_over(
    config_home: Path, user_file: Write
) -> None:
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_login"), in_keyring=False)
    with pytest.raises(errors.CredentialsInvalid, match="PIFOPFS_API_KEY"):
        config.load("joe/tsp", M, {"PIFOPFS_API_KEY": ""})
    user_file('[function."joe/tsp"]\napi_key_file = "nowhere"')
    with pytest.raises(errors.CredentialsInvalid, match=r"pifopfs/nowhere cannot be read"):
        config.load("joe/tsp", M, {})


def test_what_systemd_guards_is_read_whatever_its_mode(config_home: Path) -> None:
    path = secret(config_home, "pifopfs-key")
    path.chmod(0o440)
    assert key_of({"CREDENTIALS_DIRECTORY": str(config_home)}) == "pifopfs-key"
    assert key_of({"CREDENTIALS_DIRECTORY": str(config_home)}, api_key_file=path) == "pifopfs-key"
    with pytest.raises(errors.CredentialsInvalid, match="chmod 600"):
        config.load("joe/tsp", M, {"CREDENTIALS_DIRECTORY": "/elsewhere"}, api_key_file=path)


def test_an_empty_credential_is_none_and_one_that_cannot_be_read_is_told_of(
    config_home: Path, user_file: Write
) -> None:
    user_file(f"api_key_file = '{secret(config_home, 'above')}'")
    environ = {"CREDENTIALS_DIRECTORY": str(config_home / "credentials")}
    path = secret(config_home / "credentials", "pifopfs-key")
    path.write_text("\n")
    assert key_of(environ) == "above"
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.CredentialsInvalid, match="directory"):
        config.load("joe/tsp", M, environ)


# ── Stored ────────────────────────────────────────────────────────────────────────────────────


def test_a_stored_key_is_for_one_function_at_one_endpoint(config_home: Path) -> None:
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_login"), in_keyring=False)
    assert key_of({}) == "login"
    assert key_of({}, "joe/other") is None
    assert key_of({}, endpoint="https://elsewhere.example") is None
    assert key_of({}, endpoint="https://func.pifop.com/") == "login"


def test_a_key_is_stored_in_a_file_of_the_users_alone_and_removed(config_home: Path) -> None:
    login = stored.store("joe/tsp", SERVICE, ApiKey("apikey_one"), in_keyring=False)
    assert not login.in_keyring
    assert str(login) == str(login.path)
    assert login.path.stat().st_mode & 0o777 == 0o600
    assert login.path.parent.stat().st_mode & 0o777 == 0o700
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_two"), in_keyring=False)
    assert [path.read_text() for path in login.path.parent.iterdir()] == ["apikey_two\n"]
    assert stored.forget("joe/tsp", SERVICE) == login
    assert list(login.path.parent.iterdir()) == []
    assert stored.forget("joe/tsp", SERVICE) is None


@pytest.mark.parametrize("function", ["joe/" + "x" * 300, "jöe/tsp", "joe/%2f", "j.o-e/t_s~p"])
def test_any_name_of_a_function_has_a_place(config_home: Path, function: str) -> None:
    stored.store(function, SERVICE, ApiKey("apikey_login"), in_keyring=False)
    assert key_of({}, function) == "login"


def test_a_key_is_stored_in_the_keyring_and_in_no_file(config_home: Path, desktop: Path) -> None:
    assert keyring.is_usable()
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_old"), in_keyring=False)
    login = stored.store("joe/tsp", SERVICE, ApiKey("apikey_desk"), in_keyring=True)
    assert login.in_keyring
    assert "keyring" in str(login)
    assert json.loads(desktop.read_text()) == {
        "pifopfs https://func.pifop.com": {"joe/tsp": "apikey_desk"}
    }
    files = [path for path in (config_home / "config").rglob("*") if path.is_file()]
    assert files == [login.path]
    assert "apikey" not in login.path.read_text()
    assert key_of({}) == "desk"
    assert stored.forget("joe/tsp", SERVICE) == login
    assert json.loads(desktop.read_text())["pifopfs https://func.pifop.com"] == {}
    assert key_of({}) is None


def test_another_key_that_is_stored_later_is_found_wherever_that_is(
    config_home: Path, desktop: Path
) -> None:
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_1"), in_keyring=True)
    source = stored.StoredKey("joe/tsp", SERVICE)
    source = pickle.loads(pickle.dumps(source))  # as for the process that moves large bodies
    for number, in_keyring in enumerate((True, False, False, True), 2):
        stored.store("joe/tsp", SERVICE, ApiKey(f"apikey_{number}"), in_keyring=in_keyring)
        assert source.look().reveal() == source.key.reveal() == f"apikey_{number}"
    stored.forget("joe/tsp", SERVICE)
    for look in (source.look, source.read):
        with pytest.raises(errors.CredentialsInvalid, match="pifopfs login joe/tsp"):
            look()
    assert source.key.reveal() == "apikey_5"


def test_the_keyring_is_not_asked_again_and_again_for_a_key_that_is_refused(
    config_home: Path, desktop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_1"), in_keyring=True)
    source = stored.StoredKey("joe/tsp", SERVICE)
    monkeypatch.setattr(keyring, "get", None)
    assert source.read().reveal() == "apikey_1"


@pytest.mark.parametrize("content", ["locked", "{}"])
def test_a_keyring_that_does_not_give_the_key_is_told_of(
    config_home: Path, desktop: Path, content: str
) -> None:
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_desk"), in_keyring=True)
    desktop.write_text(content)
    with pytest.raises(errors.CredentialsInvalid, match=r"keyring.*pifopfs login joe/tsp"):
        config.load("joe/tsp", M, {})


def test_a_keyring_that_is_locked_takes_and_removes_nothing(
    config_home: Path, desktop: Path
) -> None:
    stored.store("joe/tsp", SERVICE, ApiKey("apikey_desk"), in_keyring=True)
    desktop.write_text("locked")
    with pytest.raises(errors.SetupError, match=r"does not take the key.*locked.*--file"):
        stored.store("joe/tsp", SERVICE, ApiKey("apikey_desk"), in_keyring=True)
    with pytest.raises(errors.SetupError, match=r"does not remove the key.*locked"):
        stored.forget("joe/tsp", SERVICE)
    assert stored.find("joe/tsp", SERVICE) is not None


def test_a_keyring_of_plain_text_or_none_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from keyring.backends import fail, null

    from tests.keyrings import PlainText

    for backend in (fail.Keyring(), null.Keyring(), PlainText()):
        monkeypatch.setattr("keyring.core._keyring_backend", backend)
        assert not keyring.is_usable()
    monkeypatch.setitem(sys.modules, "keyring", None)  # it is not installed
    assert not keyring.is_usable()


def test_a_folder_that_cannot_be_written_is_told_of(config_home: Path) -> None:
    (config_home / "config" / "pifopfs" / "keys").write_text("in the way")
    with pytest.raises(errors.SetupError, match="config/pifopfs/keys"):
        stored.store("joe/tsp", SERVICE, ApiKey("apikey_login"), in_keyring=False)


# ── Shown ─────────────────────────────────────────────────────────────────────────────────────


def test_each_setting_is_shown_with_its_value_and_where_that_comes_from(
    config_home: Path, user_file: Write, system_file: Write
) -> None:
    user = user_file('cache_dir = "/u"\n[function."joe/tsp"]\nstall = 3')
    system = system_file('options = "noexec"')
    environ = {"PIFOPFS_TOTAL": "7", "PIFOPFS_API_KEY": "apikey_S3cr3t"}
    loaded = config.load("joe/tsp", M, environ, state_dir=Path("/s"), options=("ro",))
    rendered = shown.render(loaded)
    rows = {line.split()[0]: " ".join(line.split()) for line in rendered.splitlines()}
    assert rows["state_dir"] == "state_dir /s --state-dir"
    assert rows["total"] == "total 7 PIFOPFS_TOTAL"
    assert rows["stall"] == f'stall 3 {user} [function."joe/tsp"]'
    assert rows["cache_dir"] == f"cache_dir /u {user}"
    assert rows["options"] == f"options noexec,ro -o, {system}"
    assert rows["connect"] == "connect 10 default"
    assert rows["allow_plain_http"] == "allow_plain_http false default"
    assert "PIFOPFS_API_KEY" in rows["api_key"]
    assert "S3cr3t" not in rendered + repr(loaded)
    assert rows.keys() == {"api_key", *config.options.OPTIONS} - {
        "isolation",
        "engine",
        "engine_options",
    }


def test_a_folder_is_shown_without_what_is_for_services(config_home: Path) -> None:
    rendered = shown.render(config.load(str(config_home), M, {}))
    names = {line.split()[0] for line in rendered.splitlines()}
    assert {"isolation", "engine", "engine_options"} <= names
    assert names.isdisjoint({"api_key", "api_key_file", "endpoint", "ca_file"})


def test_the_options_of_an_engine_are_shown_as_the_variable_takes_them(config_home: Path) -> None:
    words = ("cpus=4", "extra=--nice=5 --exclusive")
    values = config.look_up(str(config_home), {}, engine="slurm", engine_options=words)
    lines = [line for line in shown.lines(values, None).splitlines() if "engine_options" in line]
    (line,) = lines
    assert line.split(maxsplit=1)[1].split("  ")[0] == "cpus=4 'extra=--nice=5 --exclusive'"
    environ = {"PIFOPFS_ENGINE_OPTIONS": "cpus=4 'extra=--nice=5 --exclusive'"}
    again = config.look_up(str(config_home), environ)["engine_options"].value
    document = shown.document(values, None)["engine_options"]
    assert again == document["value"] == {"cpus": "4", "extra": "--nice=5 --exclusive"}
    assert document["from"][0]["where"] == "--engine-option"


def test_programs_are_told_the_same(config_home: Path, user_file: Write) -> None:
    user = user_file('[function."joe/tsp"]\nstall = 3\noptions = ["ro", "noexec"]')
    values = config.look_up("joe/tsp", {})
    key = secret(config_home, "key")
    place = config.find_key("joe/tsp", SERVICE, config.look_up("joe/tsp", {}, api_key_file=key), {})
    assert isinstance(place, Place)
    document = json.loads(json.dumps(shown.document(values, place)))
    origin = {"source": "user file", "where": str(user), "section": '[function."joe/tsp"]'}
    assert document["stall"] == {"value": 3, "from": [origin]}
    assert document["options"] == {"value": ["ro", "noexec"], "from": [origin]}
    assert document["ca_file"]["value"] is None
    assert document["api_key"] == {
        "place": str(key),
        "from": [{"source": "flag", "where": "--api-key-file", "section": None}],
    }
    assert isinstance(place.read(), KeyFile)
