"""`pifopfs serve`: the functions below one folder, on one socket, until a signal."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import trio

from pifopfs.errors import FunctionArgumentInvalid, OptionInvalid
from pifopfs.machine import raise_descriptor_limit, runtime_folder, short_key
from pifopfs.server.catalog import Root
from pifopfs.server.executions import Settings
from pifopfs.server.gate import KeyGate
from pifopfs.server.http import listen
from pifopfs.server.isolation import BUBBLEWRAP
from pifopfs.server.keys import Keys
from pifopfs.server.routes import make_app
from pifopfs.server.serving import open_server, told_by_signals


@dataclass(frozen=True, slots=True)
class Site:
    """What is served, and where."""

    root: Path
    socket: Path
    state: Path
    """Executions and their files."""

    @classmethod
    def of(cls, root: Path, socket: Path | None, state: Path | None) -> Site:
        """With a socket and a state folder for this root where none are named.

        Raises FunctionArgumentInvalid, OptionInvalid, SetupError.
        """
        if not root.is_dir():
            raise FunctionArgumentInvalid(f"{root} is not a folder; make it: mkdir -p {root}")
        key = short_key(os.fsencode(root.resolve()))
        return cls(
            root.resolve(),
            runtime_folder("servers") / key if socket is None else _checked(socket),
            platformdirs.user_state_path("pifopfs") / "servers" / key if state is None else state,
        )


def _checked(socket: Path) -> Path:
    """Whoever can reach the socket can use every function: there are no keys."""
    folder = socket.absolute().parent
    try:
        status = folder.stat()
    except OSError as error:
        raise OptionInvalid(
            f"--socket: {folder}: {error.strerror}; make it: mkdir -m 700"
        ) from None
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise OptionInvalid(
            f"--socket: others can enter {folder}; use a folder of your own with mode 0700"
        )
    return socket.absolute()


async def serve_root(site: Site, *, ready: Callable[[list[str]], None]) -> None:
    """Serve until a signal; `ready` gets the names of the functions.

    Raises FunctionFileInvalid, FunctionArgumentInvalid, StateLocked, ServerNotStarted.
    """
    catalog = Root(site.root)
    functions = catalog.all()
    descriptors = raise_descriptor_limit()
    async with (
        told_by_signals() as told,
        open_server(
            catalog, site.state, Settings(), isolation=BUBBLEWRAP, descriptors=descriptors
        ) as server,
        trio.open_nursery() as nursery,
    ):
        keys = Keys(server.store, site.state)
        keys.ensure_masters((function.author, function.id) for function in functions)
        app = make_app(server.executions, KeyGate(keys, trusted=True))
        await nursery.start(listen, app, site.socket, told.wait)
        ready([function.name for function in functions])
