"""`pifopfs serve`: the functions below a folder, over HTTPS or on a Unix socket, until a signal."""

from __future__ import annotations

import ipaddress
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import platformdirs
import trio

from pifopfs.errors import FunctionArgumentInvalid, OptionInvalid, ServerNotStarted
from pifopfs.machine import BUBBLEWRAP, LOCAL, raise_descriptor_limit, short_key
from pifopfs.sdnotify import Notifier
from pifopfs.server import tcp
from pifopfs.server.catalog import Root
from pifopfs.server.engines.finding import check_name
from pifopfs.server.executions import Settings
from pifopfs.server.gate import KeyGate
from pifopfs.server.http import Door, listen, unix_door
from pifopfs.server.keys import Keys
from pifopfs.server.limits import DEFAULT, Limits
from pifopfs.server.routes import make_app
from pifopfs.server.serving import Server, open_server, told_by_signals
from pifopfs.server.tls import ADDRESSES, Certificate, own_certificate

log = logging.getLogger(__name__)

PORT = 3445
GRACE = 30.0
"""Seconds for requests under way when the server ends."""
SPARE = 20.0
"""Seconds for what else there is to do at the end."""
NEW_FUNCTIONS = 5.0
"""Seconds between looks for functions without a master key."""


@dataclass(frozen=True, slots=True)
class Network:
    """TCP addresses, and what proves that the server is who it is."""

    hosts: tuple[str, ...] = ADDRESSES
    port: int = PORT
    certificate: Certificate | None = None
    """The operator's; None: one that the server makes."""
    optional: bool = True
    """An address after the first that this machine does not have is left out."""

    @classmethod
    def of(
        cls, hosts: Sequence[str], port: int | None, cert: Path | None, key: Path | None
    ) -> Network:
        """Raises OptionInvalid."""
        if (cert is None) != (key is None):
            raise OptionInvalid("--tls-cert and --tls-key belong together: give both")
        certificate = Certificate(cert, key) if cert is not None and key is not None else None
        if certificate is not None:
            certificate.context()
        addresses = tuple(dict.fromkeys(map(_address, hosts))) or ADDRESSES
        for address in addresses:
            if certificate is None and address not in ADDRESSES:
                raise OptionInvalid(
                    f"--host {address}: the server's own certificate is for "
                    f"{' and '.join(ADDRESSES)} only; name one for this address: --tls-cert and "
                    "--tls-key"
                )
        return cls(addresses, PORT if port is None else port, certificate, optional=not hosts)


@dataclass(frozen=True, slots=True)
class Site:
    """What is served, and where."""

    root: Path
    state: Path
    """Executions, their files, keys and the certificate."""
    socket: Path | None
    network: Network | None
    isolation: str = BUBBLEWRAP
    run_as: str | None = None
    limits: Limits = DEFAULT
    engine: str = LOCAL
    engine_options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        root: Path,
        *,
        hosts: Sequence[str] = (),
        port: int | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        socket: Path | None = None,
        state: Path | None = None,
        isolation: str = BUBBLEWRAP,
        run_as: str | None = None,
        limits: Limits = DEFAULT,
        engine: str = LOCAL,
        engine_options: Mapping[str, str] | None = None,
    ) -> Site:
        """A socket takes the place of the network, unless something of that is named, too.

        Raises FunctionArgumentInvalid, OptionInvalid, SetupError.
        """
        if not root.is_dir():
            raise FunctionArgumentInvalid(f"{root} is not a folder; make it: mkdir -p {root}")
        check_name(engine)
        given = bool(hosts) or port is not None or tls_cert is not None or tls_key is not None
        return cls(
            root.resolve(),
            state_folder(root) if state is None else state,
            None if socket is None else _checked(socket),
            Network.of(hosts, port, tls_cert, tls_key) if given or socket is None else None,
            isolation,
            run_as,
            limits,
            engine,
            engine_options or {},
        )


def state_folders() -> Path:
    """Where the state folders of this user's servers are."""
    return platformdirs.user_state_path("pifopfs") / "servers"


def state_folder(root: Path) -> Path:
    """The state folder of the server of a root, where none is named."""
    return state_folders() / short_key(os.fsencode(root.resolve()))


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise OptionInvalid(
            f"--host {host!r} is no IP address; name one, such as 127.0.0.1, ::1 or 0.0.0.0"
        ) from None


def _checked(socket: Path) -> Path:
    """Whoever can reach the socket can use every function without a key."""
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


async def serve_root(
    site: Site, *, ready: Callable[[list[str]], None], notifier: Notifier | None = None
) -> None:
    """Serve until a signal; `ready` gets lines for the operator, `notifier` what systemd is told.

    Raises FunctionFileInvalid, FunctionArgumentInvalid, StateLocked, ServerNotStarted.
    """
    notifier = notifier or Notifier()
    catalog = Root(site.root)
    functions = catalog.all()
    names = ", ".join(function.name for function in functions)
    descriptors = raise_descriptor_limit()
    settings = Settings(limits=site.limits)
    async with (
        told_by_signals() as told,
        open_server(
            catalog,
            site.state,
            settings,
            isolation=site.isolation,
            run_as=site.run_as,
            descriptors=descriptors,
            engine=site.engine,
            engine_options=site.engine_options,
        ) as server,
        trio.open_nursery() as nursery,
    ):
        for function in functions:
            server.executions.check(function)
        keys = Keys(server.store, site.state)
        keys.ensure_masters(catalog.names())
        doors, lines = _doors(site, server, keys, names)
        serving = partial(listen, doors, told.first.wait, grace=GRACE, hurry=told.second.wait)
        await nursery.start(_until_over, nursery, serving)
        nursery.start_soon(_ensure_masters, keys, catalog)
        ready(lines)
        notifier.ready(lines[0])
        nursery.start_soon(notifier.keep_told, lambda: lines[0])
        await told.first.wait()
        notifier.stopping(GRACE + SPARE)


async def _until_over(
    nursery: trio.Nursery,
    serving: Callable[..., Awaitable[None]],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await serving(task_status=task_status)
    nursery.cancel_scope.cancel()


def _doors(site: Site, server: Server, keys: Keys, functions: str) -> tuple[list[Door], list[str]]:
    """Where requests come in, and what the operator is told of it. Raises ServerNotStarted."""
    doors: list[Door] = []
    lines: list[str] = []
    if site.socket is not None:
        app = make_app(server.executions, KeyGate(keys, trusted=True))
        doors.append(unix_door(app, site.socket))
        lines.append(f"serving {functions} on unix:{site.socket}")
    if site.network is not None:
        certificate = site.network.certificate or _own(site.state)
        optional = site.network.hosts[1:] if site.network.optional else ()
        listeners = tcp.bind(site.network.hosts, site.network.port, optional)
        app = make_app(server.executions, KeyGate(keys, trusted=False))
        doors.append(Door(app, partial(tcp.accept, listeners, certificate.context())))
        port = listeners[0].getsockname()[1]
        lines += [f"serving {functions} on https://{_name(site.network, certificate)}:{port}"]
        if certificate.own:
            lines.append(f"certificate: {certificate.certificate} (for --ca-file)")
    return doors, lines


def _own(state: Path) -> Certificate:
    try:
        return own_certificate(state / "tls")
    except OSError as error:
        raise ServerNotStarted(f"no certificate can be made: {error}") from error


def _name(network: Network, certificate: Certificate) -> str:
    """By which clients find the server, and know it."""
    host = network.hosts[0]
    return certificate.name() or (f"[{host}]" if ":" in host else host)


async def _ensure_masters(keys: Keys, catalog: Root, interval: float = NEW_FUNCTIONS) -> None:
    """A function that is put there while the server runs gets its key before it is asked for."""
    while True:
        await trio.sleep(interval)
        try:  # folders come and go while they are looked at
            keys.ensure_masters(await trio.to_thread.run_sync(catalog.names))
        except OSError as error:
            log.warning("a master key cannot be made yet: %s", error)
