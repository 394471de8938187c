"""A mount from its command line on: into the background, or not."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import trio

from pifopfs import config as configuration
from pifopfs.cli.background import in_background, log_to
from pifopfs.config import Config
from pifopfs.mount.mountpoint import is_automount, real_mountpoint
from pifopfs.mount.runner import Mount
from pifopfs.sdnotify import Notifier


def mount(
    function: str, mountpoint: Path, flags: Mapping[str, object], prepared: int | None
) -> None:
    """`prepared`: the descriptor by which a prepared server is told to start."""
    notifier = Notifier.take(os.environ)
    config = configuration.load(function, mountpoint, os.environ, **flags)  # type: ignore[arg-type]
    if config.foreground:
        log_to(logging.StreamHandler(), config.log_level, config.log_format)
        _run(config, lambda: None, notifier)
    else:
        keep = () if prepared is None else (prepared,)
        run, log = partial(_run, config), (config.log_level, config.log_format)
        stay = is_automount(real_mountpoint(config.mountpoint))
        in_background(run, config.log_file, *log, keep=keep, stay=stay)


def _run(config: Config, ready: Callable[[], None], notifier: Notifier | None = None) -> None:
    """`notifier`: to systemd, where this process is the one that it watches."""
    trio.run(Mount(config, ready, notifier).run)
