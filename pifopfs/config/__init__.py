"""Flags, environment and files become one frozen, validated configuration, in this order.

    kinds    what a setting can be, read from text or from a file
    options  the table of all settings
    files    the TOML files of the user and of the system
    values   each setting, from the first place that gives it
    keys     where the API key comes from
    stored   keys that `pifopfs login` has stored
    mounts   the configuration of a mount, and a client for other commands
    shown    what is set, and by what, for people and programs

Nothing here touches the network or the mountpoint.
"""

from pifopfs.config.keys import find_key
from pifopfs.config.limits import Limits
from pifopfs.config.mounts import Config, client, find_endpoint, load, look_up
from pifopfs.config.options import TUNABLES
from pifopfs.config.values import resolve_without_files

__all__ = [
    "TUNABLES",
    "Config",
    "Limits",
    "client",
    "find_endpoint",
    "find_key",
    "load",
    "look_up",
    "resolve_without_files",
]
