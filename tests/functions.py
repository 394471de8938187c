"""Functions for tests: folders with a function.json and a shell script."""

from __future__ import annotations

import json
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "pifopfs" / "examples"


def write_function(folder: Path, script: str = "true", **more: object) -> Path:
    """A function whose input `a` is a.txt and whose output `r` is r.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.sh").write_text(script)
    description = {
        "id": folder.name,
        "command": ["sh", "run.sh"],
        "input": [{"id": "a", "path": "a.txt"}],
        "output": [{"id": "r", "path": "r.txt"}],
        **more,
    }
    (folder / "function.json").write_text(json.dumps(description))
    return folder
