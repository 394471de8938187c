"""What doctor says of this machine: each check seen to fail and to pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pifopfs.doctor.table import CHECKS
from tests.doctor.rig import NO_RIGHT, doctor, needs_root, opened

DEVICES = "mount -t tmpfs t /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9"
HELPER = shutil.which("fusermount3") or ""
NOSUID = "mkdir d && mount -t tmpfs -o nosuid t d"
OLD_LINUX = ["setarch", "--uname-2.6"]


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The states of all checks on this machine as it is."""
    told = doctor(tmp_path_factory.mktemp("well"), "example:tsp")
    assert told.code == 0, told.document
    return {each["check"]: each["state"] for each in told.document["findings"]}


@needs_root
@pytest.mark.parametrize(
    "check",
    ["fuse-device", "fusermount", "mount-right", "allow-other", "kernel", "python", "libraries",
     "libfuse", "open-files", "bubblewrap", "user-namespaces", "sandbox", "function-file",
     "state-folder", "cache-folder", "runtime-folder", "configuration"],
)  # fmt: skip
def test_what_is_well_is_told_as_well(well: dict[str, str], check: str) -> None:
    assert well[check] == "ok"


def test_the_table_has_every_name_once() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)


# ── FUSE ──────────────────────────────────────────────────────────────────────────────────────


@needs_root
@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (DEVICES, ["/dev/fuse is missing", "fuse"]),
        ("mount --bind /dev/null /dev/fuse", ["is not the FUSE device"]),
    ],
)
def test_a_missing_device(root: Path, setup: str, words: list[str]) -> None:
    told = doctor(root, setup=setup, check="fuse-device")
    told.says("fuse-device", "problem", *words)
    assert told.code == 9


@needs_root
@pytest.mark.parametrize(
    ("mode", "state", "words"),
    [(600, "problem", ["Permission denied", "chmod 666"]), (666, "ok", ["can be opened"])],
)
def test_a_device_that_users_may_open_or_not(
    root: Path, mode: int, state: str, words: list[str]
) -> None:
    setup = f"{DEVICES}; mknod -m {mode} /dev/fuse c 10 229"
    doctor(root, setup=setup, user=True, check="fuse-device").says("fuse-device", state, *words)


def test_a_missing_fusermount(root: Path) -> None:
    told = doctor(root, env={"PATH": "/nowhere"}, check="fusermount")
    told.says("fusermount", "problem", "fusermount3 is not in PATH", "fuse3")


def test_a_fusermount_that_does_not_run(root: Path) -> None:
    (root / "bin").mkdir()
    (root / "bin" / "fusermount3").write_text("#!/bin/sh\nexit 1\n")
    (root / "bin" / "fusermount3").chmod(0o755)
    told = doctor(root, env={"PATH": f"{root}/bin:/usr/bin:/bin"}, check="fusermount")
    told.says("fusermount", "problem", "does not run", "reinstall")


@needs_root
@pytest.mark.parametrize(
    ("setup", "prefix", "words"),
    [
        (f"cp {HELPER} f && mount --bind f {HELPER}", [], ["not setuid root", "chmod u+s"]),
        (
            f"{NOSUID} && cp -p {HELPER} d/f && mount --bind d/f {HELPER}",
            [],
            ["nosuid"],
        ),
        ("", ["setpriv", "--no-new-privs"], ["no_new_privs", "NoNewPrivileges"]),
    ],
)
def test_a_fusermount_that_cannot_help_users(
    root: Path, setup: str, prefix: list[str], words: list[str]
) -> None:
    told = doctor(root, setup=setup, prefix=prefix, user=True, check="fusermount")
    told.says("fusermount", "problem", *words)


@needs_root
def test_users_are_helped_by_fusermount(root: Path) -> None:
    told = doctor(root, user=True, check="fusermount,mount-right")
    told.says("fusermount", "ok", HELPER, "version 3.")
    told.says("mount-right", "ok")


@needs_root
@pytest.mark.parametrize("user", [False, True])
def test_no_right_to_mount(root: Path, user: bool) -> None:
    prefix = [] if user else NO_RIGHT
    setup = "" if not user else f'set -- {" ".join(NO_RIGHT)} "$@"'
    told = doctor(root, setup=setup, prefix=prefix, user=user, check="mount-right")
    told.says("mount-right", "problem", "CAP_SYS_ADMIN", "--cap-add SYS_ADMIN")


@needs_root
@pytest.mark.parametrize(
    ("content", "mode", "state", "words"),
    [
        ("# user_allow_other\n", 644, "warning", ["add the line user_allow_other"]),
        ("user_allow_other\n", 600, "warning", ["cannot be read", "chmod a+r"]),
        ("mount_max = 9\nuser_allow_other\n", 644, "ok", ["has user_allow_other"]),
    ],
)
def test_consent_for_allow_other(
    root: Path, content: str, mode: int, state: str, words: list[str]
) -> None:
    (root / "fuse.conf").write_text(content)
    setup = f"chmod {mode} fuse.conf && mount --bind fuse.conf /etc/fuse.conf"
    told = doctor(root, setup=setup, user=True, check="allow-other")
    told.says("allow-other", state, *words)


@needs_root
def test_a_kernel_without_fuse(root: Path) -> None:
    told = doctor(root, setup="mount --bind /dev/null /proc/filesystems", check="kernel")
    told.says("kernel", "problem", "has no FUSE", "modprobe fuse")


def test_a_kernel_that_is_too_old(root: Path) -> None:
    told = doctor(root, prefix=OLD_LINUX, check="kernel")
    told.says("kernel", "problem", "Linux 2.6", "too old", "5.3")


# ── Libraries ─────────────────────────────────────────────────────────────────────────────────


def test_libraries_that_are_missing_or_too_old(root: Path) -> None:
    folder = root / "lib" / "pifopfs-1.dist-info"
    folder.mkdir(parents=True)
    needed = "Requires-Python: >=9.9\nRequires-Dist: trio>=99\nRequires-Dist: nosuchlib\n"
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pifopfs\nVersion: 1\n{needed}")
    told = doctor(root, env={"PYTHONPATH": str(folder.parent)}, check="python,libraries")
    told.says("python", "problem", ">=9.9")
    trio, nosuchlib = told.all("libraries")
    assert "pifopfs needs >=99" in trio["text"]
    assert "pip install 'trio>=99'" in trio["mend"]
    assert "nosuchlib is not installed" in nosuchlib["text"]


def test_what_a_library_needs_counts_too(root: Path) -> None:
    folder = root / "lib" / "httpcore-0.1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: httpcore\nVersion: 0.1\n")
    told = doctor(root, env={"PYTHONPATH": str(folder.parent)}, check="libraries")
    told.says("libraries", "problem", "httpcore is 0.1, and httpx needs")


@needs_root
def test_a_libfuse_that_cannot_be_loaded(root: Path) -> None:
    found = doctor(root).says("libfuse", "ok", "pyfuse3 3.", "libfuse 3.")
    path = found["text"].partition("(")[2].rstrip(")")
    told = doctor(root, setup=f"mount --bind /dev/null {path}", check="libfuse")
    told.says("libfuse", "problem", "cannot be loaded", "libfuse3")


# ── Surroundings ──────────────────────────────────────────────────────────────────────────────

ANOTHER_ROOT = """
mkdir new && mount -t tmpfs t new
for d in /*; do
    if [ -L $d ]; then cp -P $d new$d; elif [ -d $d ]; then mkdir new$d; mount --rbind $d new$d; fi
done
umount -l new/run && mount -t tmpfs t new/run
"""


@needs_root
def test_a_container_and_none(root: Path) -> None:
    enter = f'set -- chroot {root}/new env -C {Path.cwd()} "$@"'
    told = doctor(root, setup=f"{ANOTHER_ROOT}\n{enter}", check="container")
    told.says("container", "ok", "no container")
    (root / "new").rmdir()
    told = doctor(
        root, setup=f"{ANOTHER_ROOT}\ntouch new/run/.containerenv\n{enter}", check="container"
    )
    told.says("container", "warning", "Podman", "seen only in it", "rshared")


@needs_root
@pytest.mark.parametrize(
    ("inner", "propagation", "state", "words"),
    [
        ("", "private", "ok", ["every process"]),
        ("unshare --mount --propagation private", "private", "warning", ["nobody outside"]),
        ("unshare --mount --propagation unchanged", "shared", "ok", ["passed on"]),
    ],
)
def test_a_mount_namespace_of_its_own(
    root: Path, inner: str, propagation: str, state: str, words: list[str]
) -> None:
    script = f'mount --make-r{propagation} /; {inner} "$@"; exit $?'
    pids = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"]
    doctor(root, prefix=pids, check="propagation").says("propagation", state, *words)


@needs_root
def test_a_user_whom_this_machine_does_not_know(root: Path) -> None:
    setup = (
        'chmod 755 .; unset HOME XDG_CONFIG_HOME; set -- setpriv --reuid=12345 --clear-groups "$@"'
    )
    told = doctor(root, setup="\n".join([*opened(root), setup]))
    told.says("configuration", "problem", "no home folder", "set HOME")


def test_few_open_files(root: Path) -> None:
    told = doctor(root, prefix=["prlimit", "--nofile=500:500"], check="open-files")
    told.says("open-files", "warning", "500 open files", "LimitNOFILE=")
    assert told.code == 0
