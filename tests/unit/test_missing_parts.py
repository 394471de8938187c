"""Which failures to load something are told as parts that are missing."""

from __future__ import annotations

import pytest

from pifopfs import errors
from pifopfs.cli.missing import named
from pifopfs.cli.reporting import exit_code, sentence


@pytest.mark.parametrize("package", ["pyfuse3", "pyfuse3.__init__"])
def test_a_library_that_pyfuse3_misses_is_one_of_fuse(package: str) -> None:
    told = "libfuse3.so.3: cannot open shared object file: No such file or directory"
    error = named(ImportError(told, name=package))
    assert isinstance(error, errors.FuseLibraryMissing)
    assert sentence(error).startswith(f"{told}. Install FUSE 3: apt-get install fuse3")
    assert exit_code(error) == 8


def test_a_package_that_is_not_here_is_named() -> None:
    error = named(ModuleNotFoundError("No module named 'trio'", name="trio._core"))
    assert isinstance(error, errors.PackageMissing)
    assert str(error) == "the Python package trio is not here"


@pytest.mark.parametrize(
    "bug",
    [
        ImportError("cannot import name 'x' from 'pifopfs.wire'", name="pifopfs.wire"),
        ModuleNotFoundError("No module named 'pifopfs.nothing'", name="pifopfs.nothing"),
        ImportError("cannot import name 'x' from 'trio'", name="trio"),
        ImportError("without a name"),
    ],
)
def test_a_bug_stays_one(bug: ImportError) -> None:
    assert named(bug) is bug
