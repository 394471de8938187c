"""What goes wrong in the field, looked for: what `pifopfs doctor` tells.

    table        the checks, as data
    examination  all of them, side by side, none for ever
    subject      what is examined
    findings     what a check finds

The checks, each a function that looks at one thing, changes nothing, and says how to mend it:

    fuse          the device, the helper, consent, the kernel
    libraries     Python, its packages, libfuse
    surroundings  containers, mount namespaces, limits
    sandboxing    bubblewrap, user namespaces, guards of memory
    function      the configuration of what was asked about, and a folder's function.json
    folders       state, cache, sockets
    mounts        dead ones
    service       DNS, TLS, the clock, the key, the function
    records       what is known of this user's mounts
    programs      programs of the system, asked for their version
"""

from pifopfs.doctor.examination import Result, examine
from pifopfs.doctor.findings import Finding, State
from pifopfs.doctor.subject import find_subject
from pifopfs.doctor.table import CHECKS

__all__ = ["CHECKS", "Finding", "Result", "State", "examine", "find_subject"]
