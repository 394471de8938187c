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
from pifopfs.mount.runner import Mount


def mount(
    function: str, mountpoint: Path, flags: Mapping[str, object], prepared: int | None
) -> None:
    """`prepared`: the descriptor by which a prepared server is told to start."""
    config = configuration.load(function, mountpoint, os.environ, **flags)  # type: ignore[arg-type]
    if config.foreground:
        log_to(logging.StreamHandler(), config.log_level)
        _run(config, lambda: None)
    else:
        keep = () if prepared is None else (prepared,)
        in_background(partial(_run, config), config.log_file, config.log_level, keep=keep)


def _run(config: Config, ready: Callable[[], None]) -> None:
    trio.run(Mount(config, ready).run)
