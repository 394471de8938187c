"""pifopfs: a function of PIFOP Functions, mounted as a directory.

The client library is `pifopfs.api`; the command line is `pifopfs.cli`; the local
function server is `pifopfs.server`. Nothing is imported here, so that each stays usable alone.
"""

__version__ = "0.1.0"
