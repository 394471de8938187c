"""Every method of the client library does on the server what its documentation says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pifopfs import errors, wire
from pifopfs.api import FunctionClient
from pifopfs.machine import start_time
from pifopfs.wire import ExecutionId, Status
from tests.contract.conftest import Site, eventually

BIG = bytes(range(256)) * 20_000


async def ended(client: FunctionClient, execution: ExecutionId) -> wire.Execution:
    """Poll until it has ended."""

    async def over() -> bool:
        return (await client.execution(execution)).status is Status.ENDED

    await eventually(over)
    return await client.execution(execution)


async def download(client: FunctionClient, execution: ExecutionId, output: str) -> bytes:
    async with client.output(execution, output) as stream:
        return b"".join([piece async for piece in stream])


async def logged(client: FunctionClient, execution: ExecutionId, log: bytes) -> None:
    """Poll until the log is this."""

    async def there() -> bool:
        return (await client.log(execution)).content == log

    await eventually(there)


async def run(client: FunctionClient, content: bytes = b"x") -> wire.Execution:
    execution = (await client.create()).id
    await client.upload(execution, "a", content)
    await client.start(execution)
    return await ended(client, execution)


async def test_the_function(client: FunctionClient) -> None:
    function = await client.function()
    assert (function.author, function.id) == ("joe", "fn")
    assert function.input == (wire.FileSpec("a", "a.txt"),)
    assert function.output == (wire.FileSpec("r", "r.txt"),)
    assert "command" not in function.document


@pytest.mark.each_engine
async def test_a_whole_job(client: FunctionClient) -> None:
    created = await client.create()
    assert created.status is Status.PENDING
    info = await client.upload(created.id, "a", BIG)
    assert (info.id, info.size) == ("a", len(BIG))
    assert (await client.start(created.id)).status is Status.RUNNING
    last = await ended(client, created.id)
    assert (last.end_reason, last.exit_code, last.stopped) == ("normal", 0, False)
    assert last.output == (wire.FileSpec("r", "r.txt", size=len(BIG)),)
    assert await client.output_size(created.id, "r") == len(BIG)
    assert await download(client, created.id, "r") == BIG
    piece = await client.log(created.id)
    assert (piece.offset, piece.content) == (0, b"running\ndone\n")
    await client.terminate(created.id)
    with pytest.raises(errors.ExecutionUnknown):
        await client.execution(created.id)


async def test_a_file_and_a_stream_as_input(client: FunctionClient, root: Path) -> None:
    path = root / "big"
    path.write_bytes(BIG)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(BIG), 100_000):
            yield BIG[start : start + 100_000]

    execution = (await client.create()).id
    await client.upload(execution, "a", b"replaced")
    for content in (path, pieces()):
        assert (await client.upload(execution, "a", content)).size == len(BIG)
    await client.start(execution)
    await ended(client, execution)
    assert await download(client, execution, "r") == BIG


@pytest.mark.each_engine
async def test_the_log_from_an_offset_on(site: Site) -> None:
    site.function("talk", "printf 'gr\\303\\274n\\n'; printf 'bl\\377u\\n'")
    async with site.client("talk") as client:
        execution = (await client.create()).id
        assert (await client.log(execution)).content == b""
        await client.start(execution)
        await ended(client, execution)
        whole = (await client.log(execution)).content
        assert whole == "grün\nbl\ufffdu\n".encode()
        for offset in range(len(whole) + 1):
            piece = await client.log(execution, offset)
            assert piece.offset <= offset
            assert whole[: piece.offset] + piece.content == whole
        assert (await client.log(execution, 10_000)).content == b""


@pytest.mark.each_engine
@pytest.mark.unconfined
async def test_stop_ends_a_running_program_and_all_it_started(site: Site, root: Path) -> None:
    site.function("slow", f"echo $$ > {root}/pid; echo up; sleep 600 & sleep 600")
    async with site.client("slow") as client:
        execution = (await client.create()).id
        with pytest.raises(errors.NotStarted):
            await client.stop(execution)
        await client.start(execution)
        await logged(client, execution, b"up\n")
        with pytest.raises(errors.AlreadyRunning):
            await client.start(execution)
        with pytest.raises(errors.InputsClosed):
            await client.upload(execution, "a", b"late")
        with pytest.raises(errors.NotEnded):
            await download(client, execution, "r")
        stopped = await client.stop(execution)
        assert (stopped.status, stopped.stopped) == (Status.ENDED, True)
        assert start_time(int((root / "pid").read_text())) is None
        assert (await client.stop(execution)).status is Status.ENDED
        with pytest.raises(errors.AlreadyEnded):
            await client.start(execution)


@pytest.mark.each_engine
async def test_a_program_that_catches_the_signal_may_end_by_itself(site: Site) -> None:
    site.function("polite", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done")
    async with site.client("polite") as client:
        execution = (await client.create()).id
        await client.start(execution)
        await logged(client, execution, b"up\n")
        seen = await client.stop(execution)
        assert (seen.end_reason, seen.exit_code, seen.stopped) == ("normal", 3, True)
        assert (await client.log(execution)).content.endswith(b"bye\n")


@pytest.mark.each_engine
async def test_terminate_ends_a_running_program(site: Site, root: Path) -> None:
    site.function("slow", "trap '' TERM; sleep 600")
    async with site.client("slow") as client:
        execution = (await client.create()).id
        await client.start(execution)
        await client.terminate(execution)
        with pytest.raises(errors.ExecutionUnknown):
            await client.start(execution)
        assert list((site.state / "executions").iterdir()) == []


@pytest.mark.each_engine
@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("/no/such/program", 127)]
)
async def test_the_exit_code(site: Site, script: str, code: int) -> None:
    site.function("ends", script)
    async with site.client("ends") as client:
        seen = await run(client)
        assert (seen.end_reason, seen.exit_code, seen.output) == ("normal", code, ())


@pytest.mark.each_engine
async def test_a_command_that_cannot_be_launched_is_a_system_error(site: Site) -> None:
    site.function("none", command=["/no/such/program"])
    async with site.client("none") as client:
        seen = await run(client)
        assert (seen.end_reason, seen.exit_code, seen.stopped) == ("system-error", None, False)
        assert b"/no/such/program" in (await client.log(seen.id)).content


async def test_unknown_things(site: Site, client: FunctionClient) -> None:
    async with site.client("nothing") as other:
        with pytest.raises(errors.FunctionUnknown):
            await other.function()
        with pytest.raises(errors.FunctionUnknown):
            await other.create()
    execution = (await client.create()).id
    with pytest.raises(errors.InputUnknown):
        await client.upload(execution, "zzz", b"")
    with pytest.raises(errors.ExecutionUnknown):
        await client.upload(ExecutionId("exec_nothing"), "a", b"")
    seen = await run(client)
    with pytest.raises(errors.OutputUnknown):
        await download(client, seen.id, "zzz")
    with pytest.raises(errors.OutputUnknown):
        await client.output_size(seen.id, "zzz")


@pytest.mark.parametrize("name", ["a/b", "..", ".", "", "a\0b", "ä" * 150, "x" * 300, "%2e%2e"])
async def test_ids_that_no_input_has(client: FunctionClient, name: str) -> None:
    execution = (await client.create()).id
    with pytest.raises(errors.InputUnknown):
        await client.upload(execution, name, b"")


async def test_an_input_that_is_too_large(client: FunctionClient) -> None:
    execution = (await client.create()).id
    await client.upload(execution, "a", b"kept")
    with pytest.raises(errors.TooLarge, match="at most 10000000 bytes"):
        await client.upload(execution, "a", bytes(11_000_000))
    await client.start(execution)
    await ended(client, execution)
    assert await download(client, execution, "r") == b"kept"


async def test_executions_of_one_function_are_unknown_to_another(site: Site) -> None:
    site.function("other")
    async with site.client() as client, site.client("other") as other:
        execution = (await client.create()).id
        with pytest.raises(errors.ExecutionUnknown):
            await other.execution(execution)


@pytest.mark.each_engine
async def test_each_run_has_a_copy_of_the_folder_of_its_own(site: Site) -> None:
    folder = site.function("copy", "cat data/shared r.txt; echo changed > data/shared")
    (folder / "data").mkdir()
    (folder / "data" / "shared").write_text("original\n")
    (folder / "data" / "shared").chmod(0o400)
    (folder / "data").chmod(0o500)
    (folder / "r.txt").write_text("stale\n")
    async with site.client("copy") as client:
        for _ in range(2):
            seen = await run(client)
            assert b"original\n" in (await client.log(seen.id)).content
            assert b"stale" not in (await client.log(seen.id)).content
            assert seen.output == ()


@pytest.mark.parametrize(
    "script",
    [
        "ln -s /etc/passwd r.txt",
        "mkfifo r.txt",
        "mkdir r.txt",
        "rm -f r.txt; ln -s ../../../../../../etc/passwd r.txt",
    ],
)
async def test_an_output_is_a_regular_file_of_the_run_or_none(site: Site, script: str) -> None:
    site.function("sly", script)
    async with site.client("sly") as client:
        seen = await run(client)
        assert seen.output == ()
        with pytest.raises(errors.OutputUnknown):
            await download(client, seen.id, "r")


@pytest.mark.each_engine
async def test_an_output_behind_a_linked_folder_is_not_served(site: Site, root: Path) -> None:
    (root / "secret").mkdir()
    (root / "secret" / "r.txt").write_text("secret")
    output = [{"id": "r", "path": "sub/r.txt"}]
    site.function("sly", f"rmdir sub; ln -s {root}/secret sub", output=output)
    async with site.client("sly") as client:
        seen = await run(client)
        assert seen.output == ()


@pytest.mark.each_engine
async def test_a_path_that_leads_out_of_the_copy_through_a_link_is_refused(
    site: Site, root: Path
) -> None:
    (root / "precious").mkdir()
    (root / "precious" / "r.txt").write_text("precious")
    folder = site.function("linked", "true", output=[{"id": "r", "path": "sub/r.txt"}])
    (folder / "sub").symlink_to(root / "precious")
    async with site.client("linked") as client:
        seen = await run(client)
        assert seen.end_reason == "system-error"
        assert b"through a link" in (await client.log(seen.id)).content
    assert (root / "precious" / "r.txt").read_text() == "precious"


@pytest.mark.each_engine
async def test_a_program_sees_nothing_of_the_servers_environment(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIFOPFS_API_KEY", "apikey_secret")
    site.function("env", "env > r.txt; cat /proc/self/stat > /dev/null; cat")
    async with site.client("env") as client:
        seen = await run(client)
        told = await download(client, seen.id, "r")
        assert b"secret" not in told
        assert b"PATH=" in told


# ── The end of the server ─────────────────────────────────────────────────────────────────────


# > Its executions never expire.
@pytest.mark.local_only("jobs of a cluster go on: see tests/slurm/test_slurm_restart.py")
async def test_ended_executions_survive_a_restart_and_a_running_one_was_cut_off(
    site: Site,
) -> None:
    site.function("slow", "echo up; sleep 600")
    async with site.client() as client, site.client("slow") as slow:
        done, pending = await run(client, b"42"), (await client.create()).id
        await client.upload(pending, "a", b"kept")
        running = (await slow.create()).id
        await slow.start(running)
        await logged(slow, running, b"up\n")
    await site.down()
    await site.up()
    async with site.client() as client, site.client("slow") as slow:
        assert await client.execution(done.id) == done
        assert await download(client, done.id, "r") == b"42"
        await client.start(pending)
        await ended(client, pending)
        assert await download(client, pending, "r") == b"kept"
        cut = await slow.execution(running)
        assert (cut.status, cut.end_reason) == (Status.ENDED, "system-error")
        assert (cut.exit_code, cut.stopped) == (None, False)
        assert (await slow.log(running)).content == (
            b"up\npifopfs: the run was cut off: the server ended\n"
        )


async def test_a_store_has_one_server(site: Site) -> None:
    from pifopfs.machine import NONE
    from pifopfs.server.catalog import Root
    from pifopfs.server.executions import Settings
    from pifopfs.server.serving import open_server

    with pytest.raises(errors.StateLocked, match="another server"):
        async with open_server(Root(site.root), site.state, Settings(), isolation=NONE):
            pass
