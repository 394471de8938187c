"""input/: staged here, uploaded when closed, whole or not at all by the start."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.fakeservice import FakeService, garbage, hang, refuse, until
from tests.mount.harness import Mount

ORDINARY = {
    "cp": "cp $T/src coords",
    "cat": "cat $T/src > coords",
    "dd": "dd if=$T/src of=coords bs=4k status=none",
    "tee": "tee coords < $T/src > /dev/null",
    "install": "install -m 600 $T/src coords",
    "mv": "cp $T/src $T/moved; mv $T/moved coords",
    "cp -p": "cp -p $T/src coords",
    "python": "python3 -c \"open('coords', 'wb').write(open('$T/src', 'rb').read())\"",
    "tar": "tar -C $T -cf $T/a.tar --transform s/src/coords/ src; tar xf $T/a.tar",
    "temporary and rename": "cp $T/src .coords.Xy12; mv .coords.Xy12 coords",
}


@pytest.fixture
def inputs(job: Mount) -> Mount:
    """A mount with an execution `j` and a source file of 100 000 bytes."""
    source = job.root / "src"
    source.write_bytes(bytes(range(250)) * 400)
    return job


def run(mount: Mount, script: str, **more: object) -> str:
    """Run a script in input/, with $T a folder of its own."""
    return mount.sh(f"T={mount.root}; cd executions/j/input; {script}", **more).stdout  # type: ignore[arg-type]


# > **When a file is uploaded.** When it is closed, if that is the real close of an ordinary
# > tool;
#
# > a name that the function declares | an input
@pytest.mark.parametrize("tool", ORDINARY)
def test_an_ordinary_tool_uploads_once(inputs: Mount, service: FakeService, tool: str) -> None:
    run(inputs, ORDINARY[tool])
    until(lambda: service.only().inputs, what=tool)
    assert service.only().inputs == {"coords": (inputs.root / "src").read_bytes()}
    assert service.count("upload") == 1


# > **Close tells the truth, start makes sure.** When `close()` of an ordinary tool returns 0,
# > the service has the bytes.
def test_close_of_an_ordinary_tool_means_that_the_service_has_the_bytes(
    inputs: Mount, service: FakeService
) -> None:
    run(inputs, "cp $T/src coords")
    assert service.only().inputs["coords"] == (inputs.root / "src").read_bytes()


# > A file is there once it was written here. Bytes are staged on the local disk; reads give
# > them back.
def test_reads_give_back_what_was_written(inputs: Mount, service: FakeService) -> None:
    run(inputs, "cp $T/src coords; cmp $T/src coords")
    assert run(inputs, "stat -c %s coords") == "100000\n"
    assert service.count("upload") == 1


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_shell_redirection_uploads(job: Mount, service: FakeService, shell: str) -> None:
    run(job, "echo 1,2 > coords; printf '3\\n' >> coords", shell=shell)
    until(lambda: service.only().inputs.get("coords") == b"1,2\n3\n")


# > Where a close may be one of several (a file that is still empty and unwritten, or written
# > again after an upload through the same descriptor, as in `{ a; b; } > file`), the last one's
# > release begins the upload,
def test_a_group_of_commands_uploads_the_whole_in_the_end(job: Mount, service: FakeService) -> None:
    run(job, "{ /bin/echo a; /bin/echo b; echo c; } > coords; echo 1 > ../start")
    assert service.only().inputs["coords"] == b"a\nb\nc\n"


# > (a file that is still empty and unwritten,
def test_an_empty_file_is_uploaded(job: Mount, service: FakeService) -> None:
    run(job, ": > coords")
    until(lambda: service.only().inputs == {"coords": b""})


def test_a_forked_child_does_not_make_half_a_file_the_input(
    job: Mount, service: FakeService
) -> None:
    job.python(
        "import os\n"
        "f = open('executions/j/input/coords', 'wb', buffering=0)\n"
        "f.write(b'a' * 20000); os.system('true'); f.write(b'b'); f.close()\n"
        "os.close(os.open('executions/j/start', os.O_WRONLY | os.O_TRUNC))"
    )
    assert service.only().inputs["coords"] == b"a" * 20000 + b"b"


def test_stores_after_the_last_close_are_uploaded(job: Mount, service: FakeService) -> None:
    job.python(
        "import mmap, os\n"
        "fd = os.open('executions/j/input/coords', os.O_RDWR | os.O_CREAT)\n"
        "os.write(fd, b'a' * 5000)\n"
        "m = mmap.mmap(fd, 5000); os.close(fd); m[0:3] = b'xyz'; m.close()"
    )
    until(lambda: service.only().inputs.get("coords", b"")[:4] == b"xyza")


def test_writing_in_place_seeking_and_truncating(job: Mount, service: FakeService) -> None:
    run(
        job,
        "printf 0123456789 > coords; printf XY | dd of=coords bs=1 seek=3 conv=notrunc status=none",
    )
    until(lambda: service.only().inputs["coords"] == b"012XY56789")
    run(job, "truncate -s 4 coords")
    until(lambda: service.only().inputs["coords"] == b"012X")
    job.python("import os; os.truncate('executions/j/input/coords', 2)")
    until(lambda: service.only().inputs["coords"] == b"01")


def test_sed_i_and_cp_over_an_existing_file(job: Mount, service: FakeService) -> None:
    run(job, "echo abc > coords; sed -i s/b/X/ coords; echo 1 > ../start")
    assert service.only().inputs == {"coords": b"aXc\n"}


# > chmod, chown, times | accepted and remembered, never an upload
def test_chmod_chown_and_times_are_remembered_and_upload_nothing(
    job: Mount, service: FakeService
) -> None:
    run(job, "cp /etc/hostname coords; chmod 400 coords; touch -d 2001-02-03 coords")
    assert run(job, "stat -c '%a %y' coords").startswith("400 2001-02-03")
    job.umount()
    job.mount()
    assert run(job, "stat -c '%a %y' coords").startswith("400 2001-02-03")
    assert service.count("upload") == 1


# > what the upload fails with is what `close()` fails with.
def test_a_failed_upload_is_the_error_of_close(inputs: Mount, service: FakeService) -> None:
    service.fault("upload", refuse(413, "at most 10 bytes"))
    result = inputs.sh(f"cp {inputs.root}/src executions/j/input/coords", check=False)
    assert "File too large" in result.stderr
    assert "at most 10 bytes" in inputs.out("cat executions/j/error")


# > An upload that failed at close is tried again by `start`, not before;
def test_an_upload_that_failed_at_close_is_not_tried_again_behind_its_tool(
    job: Mount, service: FakeService
) -> None:
    service.fault("upload", refuse(403))
    run(job, "cp /etc/hostname coords", check=False)
    run(job, "cp /etc/hostname model", check=False)  # by now the first file has been released
    assert [name for endpoint, name in service.requests if endpoint == "upload"] == [
        "coords",
        "model",
    ]


# > and a failure is kept for `start`.
#
# > `start` first uploads what the service lacks. It refuses with
#
# > the upload's | an upload failed
def test_a_failed_upload_that_nobody_heard_of_is_repeated_by_start(
    job: Mount, service: FakeService
) -> None:
    service.fault("upload", refuse(500))
    run(job, "{ /bin/echo a; /bin/echo b; } > coords || true", check=False)
    until(lambda: job.out("cat executions/j/error"))
    failed = job.sh("echo 1 > executions/j/start", check=False)
    assert "Input/output error" in failed.stderr
    assert service.count("start") == 0
    service.heal()
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs["coords"] == b"a\nb\n"
    assert job.out("cat executions/j/error") == ""


# > Bytes are kept here until they are with the service.
def test_bytes_are_kept_until_they_are_with_the_service(job: Mount, service: FakeService) -> None:
    service.fault("upload", garbage)
    run(job, "echo 1,2 > coords", check=False)
    until(lambda: service.count("upload"))
    job.umount()
    service.heal()
    job.mount()
    job.sh("cat executions/j/input/coords; echo 1 > executions/j/start")
    assert service.only().inputs["coords"] == b"1,2\n"


# > any other name | scratch: kept here, never uploaded. `start` refuses with EINVAL,
#
# > and `error` says which input, and what to do.
def test_an_undeclared_name_is_scratch_and_refused_by_start(
    job: Mount, service: FakeService
) -> None:
    run(job, "echo 1 > coord; cat coord")
    result = job.sh("echo 1 > executions/j/start", check=False)
    assert "Invalid argument" in result.stderr
    error = job.out("cat executions/j/error")
    assert "input/coord" in error
    assert "function.json" in error
    assert service.count("upload") == service.count("start") == 0
    run(job, "mv coord coords")
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"1\n"}


# > except for temporary names: `.*` `*~` `#*#` `sed??????` `4913` `*.tmp` `*.swp` `*.part`
def test_temporary_names_are_no_obstacle(job: Mount, service: FakeService) -> None:
    run(job, "touch .coords.swp coords~ '#coords#' 4913 x.tmp y.part; echo 1 > coords")
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"1\n"}


def test_where_the_function_does_not_tell_its_inputs_every_name_is_one(
    root: object, service: FakeService
) -> None:
    service.inputs = None
    with Mount(service.socket.parent, "joe/tsp", "--endpoint", service.endpoint) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/input/anything")
        until(lambda: service.only().inputs == {"anything": b"1\n"})


# > `rm` of an input that the service lacks | it is gone
def test_a_removed_input_that_the_service_lacks_is_gone(job: Mount, service: FakeService) -> None:
    service.fault("upload", refuse(403))
    run(job, "cp /etc/hostname coords; rm coords; ls", check=False)
    service.heal()
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {}


# > `rm` of one that the service has, while pending | gone here, and *withdrawn*: `start`
# > refuses with EINVAL until it is written again, because the API can't forget an input
def test_a_removed_input_that_the_service_has_keeps_start_from_running(
    job: Mount, service: FakeService
) -> None:
    run(job, "cp /etc/hostname coords; rm coords")
    assert "Invalid argument" in job.sh("echo 1 > executions/j/start", check=False).stderr
    assert "cannot forget it" in job.out("cat executions/j/error")
    job.umount()
    job.mount()
    assert "Invalid argument" in job.sh("echo 1 > executions/j/start", check=False).stderr
    run(job, "echo new > coords")
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"new\n"}


# > EBUSY | an input is open for writing
def test_start_is_busy_while_an_input_is_open_for_writing(job: Mount, service: FakeService) -> None:
    result = run(
        job,
        "exec 5>coords; echo 1 >&5; echo 1 > ../start; echo $?;"
        " exec 5>&-; echo 1 > ../start; echo $?",
    )
    assert result == "1\n0\n"
    assert service.only().inputs == {"coords": b"1\n"}


# > the writer is killed, a write fails and is not made good, or the daemon dies while a writer has
# > it open | the input is *torn*: never uploaded, `start` refuses with EINVAL until it is written
# > anew (created, or truncated to nothing).
def test_a_killed_writers_bytes_are_never_run_on(job: Mount, service: FakeService) -> None:
    process = job.spawn("tee", "executions/j/input/coords", stdin=-1)
    assert process.stdin is not None
    process.stdin.write("half")
    process.stdin.flush()
    until(lambda: job.sh("cat executions/j/input/coords", check=False).stdout == "half")
    process.kill()
    process.wait(10)
    until(lambda: "Invalid" in job.sh("echo 1 > executions/j/start", check=False).stderr)
    assert "killed" in job.out("cat executions/j/error")
    assert service.count("upload") == 0
    run(job, "echo whole > coords")
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"whole\n"}


# > or the daemon dies while a writer has it open | the input is *torn*: never uploaded,
def test_bytes_that_were_open_when_the_daemon_was_killed_are_torn(
    job: Mount, service: FakeService
) -> None:
    process = job.spawn("tee", "executions/j/input/coords", stdin=-1)
    assert process.stdin is not None
    process.stdin.write("half")
    process.stdin.flush()
    until(lambda: job.sh("cat executions/j/input/coords", check=False).stdout == "half")
    job.kill()
    process.kill()
    process.wait(10)
    job.mount()
    assert job.out("cat executions/j/input/coords") == "half"
    assert "Invalid argument" in job.sh("echo 1 > executions/j/start", check=False).stderr
    assert service.count("start") == service.count("upload") == 0


def test_two_writers_and_the_last_state_counts(job: Mount, service: FakeService) -> None:
    job.python(
        "a = open('executions/j/input/coords', 'wb', buffering=0)\n"
        "b = open('executions/j/input/coords', 'r+b', buffering=0)\n"
        "a.write(b'aaaa'); b.write(b'bb'); a.close(); b.write(b'B'); b.close()\n"
        "open('executions/j/start', 'w').write('1')"
    )
    assert service.only().inputs["coords"] == b"bbBa"


def test_an_unlinked_open_file_is_not_uploaded(job: Mount, service: FakeService) -> None:
    job.python(
        "import os\n"
        "f = open('executions/j/input/coords', 'w+b', buffering=0); f.write(b'x')\n"
        "os.unlink('executions/j/input/coords'); f.write(b'y'); f.seek(0)\n"
        "assert f.read() == b'xy'; f.close()"
    )
    job.sh("echo 1 > executions/j/start")
    assert service.count("upload") == 0


# > open for writing, create, rename, truncate | only while pending;
#
# > | EACCES after the start;
#
# > `rm` after the start | only the local bytes go
#
# > inputs lose their write bits with the start,
def test_after_the_start_inputs_can_only_be_read(job: Mount, service: FakeService) -> None:
    run(job, "echo 1 > coords; echo 1 > ../start")
    until(lambda: run(job, "stat -c %a coords") == "400\n")
    assert "Permission denied" in job.sh("echo 2 > executions/j/input/coords", check=False).stderr
    assert "Permission denied" in job.sh("echo 2 > executions/j/input/model", check=False).stderr
    assert run(job, "cat coords") == "1\n"
    run(job, "rm coords")
    assert service.only().inputs == {"coords": b"1\n"}


def test_an_upload_that_hangs_ends_when_its_writer_is_interrupted(
    job: Mount, service: FakeService
) -> None:
    release = threading.Event()
    service.fault("upload", hang(release))
    process = job.spawn("cp", "/etc/hostname", "executions/j/input/coords")
    until(lambda: service.count("upload"))
    process.send_signal(signal.SIGINT)
    process.wait(10)
    job.sh("ls -l executions/j executions/j/input", timeout=10)
    release.set()


def test_a_large_input_arrives_whole(job: Mount, service: FakeService) -> None:
    run(job, "head -c 50000000 /dev/urandom > $T/big; cp $T/big coords; cmp $T/big coords")
    assert service.only().inputs["coords"] == (job.root / "big").read_bytes()


def test_names_that_are_no_inputs(job: Mount, service: FakeService) -> None:
    assert "too long" in run_error(job, f"echo 1 > {'x' * 300}")
    assert "No such file" in run_error(job, "echo 1 > a/b")
    job.python(
        "import contextlib\n"
        "with contextlib.suppress(ValueError): open('executions/j/input/a\\0b', 'w')"
    )
    assert service.count("upload") == 0


def run_error(mount: Mount, script: str) -> str:
    return mount.sh(f"cd executions/j/input; {script}", check=False).stderr


# > `cp -r A/. B` | into an existing execution: brings the inputs, starts nothing, says EACCES
# > for the files that it can't create
#
# > Make it first, then copy `A/.`
@pytest.mark.parametrize("copy", ["cp -r executions/j/. executions/k", "cp -rT executions/j $K"])
def test_a_copy_into_an_execution_brings_its_inputs_and_never_starts(
    job: Mount, service: FakeService, copy: str
) -> None:
    run(job, "echo 1 > coords; echo 2 > model")
    result = job.sh(f"K=executions/k; mkdir $K; {copy}", check=False)
    assert "Permission denied" in result.stderr
    assert service.count("start") == 0
    copies = [execution.inputs for execution in service.executions.values()]
    assert copies == [{"coords": b"1\n", "model": b"2\n"}] * 2


# > `cp -r A B` | to a new name: creates it, but copies nothing into `input/`: `cp` takes the
# > directory it has just made for empty, and the kernel answers EEXIST. Make it first, then
# > copy `A/.` | EEXIST
def test_a_copy_to_a_new_name_says_that_its_folders_exist_and_starts_nothing(
    job: Mount, service: FakeService
) -> None:
    """cp takes a directory it has just made for empty, and the kernel answers it EEXIST."""
    run(job, "echo 1 > coords")
    result = job.sh("cp -r executions/j executions/k", check=False)
    assert "executions/k/input': File exists" in result.stderr
    assert job.out("cat executions/k/status; ls executions/k/input") == "pending\n"
    assert service.count("start") == 0


def test_a_rename_between_executions_is_done_by_copying(job: Mount, service: FakeService) -> None:
    job.sh("mkdir executions/k; echo 1 > executions/j/input/coords")
    job.sh("mv executions/j/input/coords executions/k/input/coords; echo 1 > executions/k/start")
    assert [e.inputs.get("coords") for e in service.executions.values()] == [b"1\n"] * 2
    assert "Invalid" in job.sh("echo 1 > executions/j/start", check=False).stderr


# > rename onto a declared name | it becomes that input and is uploaded in the background
def test_rename_does_not_wait_for_an_upload(job: Mount, service: FakeService) -> None:
    release = threading.Event()
    service.fault("upload", hang(release))
    run(job, "echo 1 > new.tmp; mv new.tmp coords; ls; touch model.tmp; rm model.tmp", timeout=5)
    release.set()
