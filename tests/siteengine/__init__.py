"""An engine of another package than this one, as a site would add its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAME = "hall"


def install(root: Path) -> dict[str, str]:
    """Install it below `root`; the variables of the environment by which Python finds it."""
    packages = root / "site-packages"
    about = packages / "our_site-1.0.dist-info"
    about.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("our_site.py"), packages)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: our_site\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[pifopfs.engines]\n{NAME} = our_site:open_hall\nlost = our_site:nothing\n"
    )
    return {"PYTHONPATH": os.fspath(packages)}
