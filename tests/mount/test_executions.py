"""executions/: create, list, rename, adopt, terminate, remember."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from tests.fakeservice import FakeExecution, FakeService, delayed, refuse, reset, until
from tests.mount.harness import Mount


# > `mkdir NAME` | one request, at most 10 s; the execution has your name here, an id at the
# > service.
def test_mkdir_creates_an_execution_under_the_users_name(
    mount: Mount, service: FakeService
) -> None:
    mount.sh("mkdir executions/job1")
    assert service.count("create") == 1
    assert mount.out("ls executions") == "job1\n"
    assert mount.out("cat executions/job1/id") == f"{service.only().id}\n"


def test_a_new_execution_has_the_files_of_the_tree_and_no_wait(job: Mount) -> None:
    assert job.out("ls -x -w 200 executions/j").split() == [
        *("end_reason", "error", "exit_code", "id", "input", "log", "output"),
        *("start", "status", "status.json", "stop"),
    ]
    assert job.out("ls executions/j/input executions/j/output; cat executions/j/error") == (
        "executions/j/input:\n\nexecutions/j/output:\n"
    )


# > EEXIST the name is taken;
def test_mkdir_of_a_name_that_exists(job: Mount, service: FakeService) -> None:
    assert "File exists" in job.sh("mkdir executions/j", check=False).stderr
    assert service.count("create") == 1


def test_mkdir_p_and_mkdir_m_work(mount: Mount) -> None:
    mount.sh("mkdir -p executions/job1/input && mkdir -m 700 executions/job2")
    assert mount.out("ls executions") == "job1\njob2\n"


# > They come back after a remount,
def test_names_with_blanks_newlines_and_broken_utf8_come_back_after_a_remount(mount: Mount) -> None:
    mount.sh("mkdir 'executions/a b' $'executions/c\\nd' $'executions/\\xff\\xfe' executions/ü")
    before = mount.out("ls --quoting-style=c executions")
    mount.umount()
    mount.mount()
    assert mount.out("ls --quoting-style=c executions") == before
    assert len(before.splitlines()) == 4


# > ENAMETOOLONG over 255 bytes;
def test_mkdir_of_a_name_that_is_too_long(mount: Mount, service: FakeService) -> None:
    result = mount.sh(f"mkdir executions/{'x' * 300}", check=False)
    assert "File name too long" in result.stderr
    mount.sh(f"mkdir executions/{'x' * 255}")
    assert service.count("create") == 1


# > EINVAL a name of the form `exec_…`, which are ids;
#
# > EINVAL a name of the form `exec_…`
def test_mkdir_and_mv_to_a_name_in_the_form_of_an_id(job: Mount, service: FakeService) -> None:
    assert "Invalid argument" in job.sh("mkdir executions/exec_MINE", check=False).stderr
    renamed = job.sh("mv -T executions/j executions/exec_A", check=False).stderr
    assert "subdirectory of itself" in renamed  # what mv says for EINVAL
    assert service.count("create") == 1


def test_making_things_elsewhere_is_refused_without_a_request(
    job: Mount, service: FakeService
) -> None:
    before = len(service.requests)
    for place in ["x", "executions/j/x", "executions/j/input/x"]:
        assert "Permission denied" in job.sh(f"mkdir {place}", check=False).stderr
    for place in ["x", "executions/x", "executions/j/x"]:
        assert "Permission denied" in job.sh(f"> {place}", check=False).stderr
    assert len(service.requests) == before
    for command in ["mkdir executions/j/output/x", "> executions/j/output/x"]:
        assert "Permission denied" in job.sh(command, check=False).stderr
    assert service.count("create") == 1


# > any other unknown name | no request | ENOENT
def test_unknown_names_make_no_request(mount: Mount, service: FakeService) -> None:
    before = len(service.requests)
    mount.sh("ls executions/nothing executions/.git executions/exec_ executions/exec_a-b; true")
    assert len(service.requests) == before


# > `rmdir NAME` | terminates it, whatever it holds
def test_rmdir_terminates_whatever_the_execution_holds(job: Mount, service: FakeService) -> None:
    job.sh("echo 1 > executions/j/input/coords; rmdir executions/j")
    assert service.executions == {}
    assert job.out("ls executions") == ""
    assert service.count("terminate") == 1


def test_rm_r_terminates(job: Mount, service: FakeService) -> None:
    job.sh("echo 1 > executions/j/input/coords; echo 1 > executions/j/start")
    service.only().end(result=b"x")
    job.sh("ls -l executions/j/output; rm -r executions/j")
    assert service.executions == {}
    assert service.count("stop") == 0


# > `rm -r NAME` | the same: removing the files in it succeeds without effect, the final `rmdir`
# > terminates
def test_rm_rf_shutil_rmtree_and_find_delete_terminate(mount: Mount, service: FakeService) -> None:
    mount.sh("mkdir executions/a executions/b executions/c; echo 1 > executions/a/input/coords")
    mount.sh("rm -rf executions/a && find executions/b -delete")
    mount.python("import shutil; shutil.rmtree('executions/c')")
    assert service.executions == {}


def test_rmdir_of_an_execution_that_the_service_forgot_succeeds(
    job: Mount, service: FakeService
) -> None:
    service.executions.clear()
    job.sh("rmdir executions/j")
    assert job.out("ls executions") == ""


# > those of the service; the name is then kept
def test_rmdir_that_fails_keeps_the_name(job: Mount, service: FakeService) -> None:
    service.fault("terminate", refuse(403))
    assert "Permission denied" in job.sh("rmdir executions/j", check=False).stderr
    assert job.out("ls executions") == "j\n"
    service.heal()
    job.sh("rmdir executions/j")


# > An execution made again under the same name has new inode numbers.
def test_a_name_that_is_made_again_has_new_inodes(job: Mount) -> None:
    inodes = "stat -c %i executions/j executions/j/log executions/j/input"
    before = job.out(inodes)
    assert job.out(inodes) == before
    job.sh("rmdir executions/j; mkdir executions/j")
    assert set(job.out(inodes).split()).isdisjoint(before.split())


# > `mv A B` | renames it here, not at the service
#
# > Inode numbers stay as long as a name stays.
def test_mv_renames_here_and_keeps_inodes(job: Mount, service: FakeService) -> None:
    before = job.out("stat -c %i executions/j/log")
    job.sh("mv executions/j executions/k")
    assert job.out("ls executions; cat executions/k/id") == f"k\n{service.only().id}\n"
    assert job.out("stat -c %i executions/k/log") == before
    job.umount()
    job.mount()
    assert job.out("ls executions") == "k\n"


# > ENOTEMPTY the name B is taken;
def test_mv_onto_an_existing_name_is_refused(job: Mount) -> None:
    job.sh("mkdir executions/k")
    assert "not empty" in job.sh("mv -T executions/j executions/k", check=False).stderr
    assert job.out("ls executions") == "j\nk\n"


# > lookup of `exec_…` | adopts an execution created elsewhere;
def test_an_execution_created_elsewhere_is_adopted_by_its_id(
    mount: Mount, service: FakeService
) -> None:
    service.executions["exec_ELSEWHERE1"] = FakeExecution("exec_ELSEWHERE1", "running")
    assert mount.out("ls executions") == ""
    assert mount.out("cat executions/exec_ELSEWHERE1/status") == "running\n"
    assert mount.out("ls executions") == "exec_ELSEWHERE1\n"
    mount.umount()
    mount.mount()
    assert mount.out("ls executions") == "exec_ELSEWHERE1\n"
    mount.sh("mv executions/exec_ELSEWHERE1 executions/mine")
    assert mount.out("readlink executions/exec_ELSEWHERE1") == "mine\n"


# > one that has a name here is a symbolic link to it, not listed
def test_an_id_that_has_a_name_is_a_link_to_it_and_not_listed(
    job: Mount, service: FakeService
) -> None:
    id_ = service.only().id
    before = len(service.requests)
    assert job.out(f"readlink executions/{id_}; cat executions/{id_}/id") == f"j\n{id_}\n"
    assert job.out("ls executions") == "j\n"
    assert len(service.requests) == before


# > not listed | ENOENT;
def test_an_unknown_id_is_asked_for_once_a_look(mount: Mount, service: FakeService) -> None:
    result = mount.sh("ls executions/exec_UNKNOWN executions/exec_UNKNOWN", check=False)
    assert "No such file" in result.stderr
    assert service.count("status") == 1


# > They come back after a remount, a crash
#
# > The next `pifopfs mount` clears a dead mountpoint away.
def test_names_come_back_after_kill_9_and_the_dead_mount_is_reused(
    job: Mount, service: FakeService
) -> None:
    job.sh("mkdir executions/k; echo 1,2 > executions/k/input/coords")
    job.kill()
    assert "Transport endpoint" in subprocess_ls(job.path)
    job.mount()
    assert job.out("ls executions; cat executions/k/input/coords") == "j\nk\n1,2\n"
    assert job.out("cat executions/j/id").strip() in service.executions


def subprocess_ls(path: Path) -> str:
    import subprocess

    return subprocess.run(
        ["ls", str(path)], capture_output=True, text=True, timeout=20, check=False
    ).stderr


# > **Nothing is done twice.** Creating and starting are never retried blindly:
#
# > After an unclear outcome it fails, and the daemon's log says that an orphan may exist.
def test_an_unclear_mkdir_is_not_retried_and_the_log_speaks_of_an_orphan(
    mount: Mount, service: FakeService
) -> None:
    service.fault("create", reset)
    result = mount.sh("mkdir executions/j", check=False)
    assert result.returncode != 0
    assert service.count("create") == 1
    assert mount.out("ls executions") == ""
    assert "orphan" in mount.log


# > Interrupted: EINTR, and what came of it is deleted
def test_an_interrupted_mkdir_deletes_what_comes_of_it(mount: Mount, service: FakeService) -> None:
    release = threading.Event()
    service.fault("create", delayed(release))
    process = mount.spawn("mkdir", "executions/j")
    until(lambda: service.count("create"))
    process.send_signal(signal.SIGINT)
    assert process.wait(10) != 0
    release.set()
    until(lambda: service.count("terminate"))
    assert service.executions == {}
    assert mount.out("ls executions") == ""


# > EDQUOT too many executions;
def test_too_many_executions(mount: Mount, service: FakeService) -> None:
    service.fault("create", refuse(429))
    assert "Disk quota exceeded" in mount.sh("mkdir executions/j", check=False).stderr


def test_forget_drops_a_name_without_terminating(job: Mount, service: FakeService) -> None:
    result = job.pifopfs("forget", str(job.path / "executions" / "j"))
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{service.only().id}\n"
    assert job.out("ls executions") == ""
    assert service.count("terminate") == 0


def test_a_working_directory_inside_a_terminated_execution(job: Mount) -> None:
    result = job.sh("cd executions/j/input; rmdir ../../j; ls; echo x > coords; true", check=False)
    assert "No such file" in result.stderr
    assert job.out("ls executions") == ""


# > **Looking costs nothing.** `ls`, `find`, `stat`, `du`, a file manager or `updatedb` never
# > create, start or download anything,
def test_looking_costs_nothing(mount: Mount, service: FakeService) -> None:
    mount.sh("mkdir executions/{a,b,c}; echo 1 > executions/a/start")
    service.executions[mount.out("cat executions/a/id").strip()].end(result=b"12345")
    until(lambda: mount.out("cat executions/a/status") == "ended\n")
    before = len(service.requests)
    mount.sh("ls -l executions; find . -maxdepth 3; stat executions/*; du -s executions/b; df .")
    asked = [name for name, _ in service.requests[before:]]
    assert set(asked) <= {"size"}
    mount.sh("ls -lR . > /dev/null; du -sh .")
    asked = [name for name, _ in service.requests[before:]]
    assert set(asked) <= {"size"}
    assert asked.count("size") <= 1


def test_link_symlink_and_mknod_are_refused(job: Mount) -> None:
    for command in ["ln executions/j/id executions/j/input/x", "ln -s a executions/j/input/x",
                    "mkfifo executions/j/input/x"]:  # fmt: skip
        assert "not permitted" in job.sh(command, check=False).stderr


def test_the_function_and_the_executions_folder_cannot_be_removed(mount: Mount) -> None:
    for command in ["rm -f function.json", "rmdir executions", "mv function.json x"]:
        assert mount.sh(command, check=False).returncode != 0
    assert mount.out("ls") == "executions\nfunction.json\n"


def test_function_json_shows_the_function(mount: Mount) -> None:
    assert '"id": "tsp"' in mount.out("cat function.json")
    size = int(mount.out("stat -c %s function.json"))
    assert len(mount.out("cat function.json")) == size
