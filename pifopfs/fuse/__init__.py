"""The FUSE side: a thin adapter between the kernel's requests and `pifopfs.tree`.

    operations  each request is one call into the tree and one reply
    refusals    the calls that mean nothing here
    errnos      the total table from errors to errnos
    activity    what goes on, and how much of it has
    attributes  the tree's attributes as the kernel wants them
    calls       those under way
    interrupts  a blocked call ends when a signal waits for its caller
    watchdog    a call that takes too long is reported with its stack
    callers     who makes a call
    pages       what the kernel's page cache is told
    processes   what /proc says of him
    nudges      no read of the kernel's requests blocks for long
    session     mounting, serving, unmounting

The only package that imports pyfuse3.
"""

from pifopfs.fuse.activity import Activity
from pifopfs.fuse.attributes import Ownership
from pifopfs.fuse.session import serve_mount

__all__ = ["Activity", "Ownership", "serve_mount"]
