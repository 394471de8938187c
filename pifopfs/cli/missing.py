"""Parts that are not on this machine, as errors with a name: a system package, a Python package."""

from __future__ import annotations

from pifopfs import errors

NEEDS_FUSE = "pyfuse3"


def named(error: ImportError) -> errors.SetupError | ImportError:
    """The error itself where it is a bug: a name that one of our own modules does not have."""
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError):
        return errors.FuseLibraryMissing(str(error)) if package == NEEDS_FUSE else error
    if package in ("", "pifopfs"):
        return error
    return errors.PackageMissing(f"the Python package {package} is not here")
