"""Commands of the system, run to their end."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster.addresses import SYSTEM_PATH


def run(*command: str | Path) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it is missing, or it failed; the text has its own words.
    """
    program = shutil.which(command[0], path=SYSTEM_PATH)
    if program is None:
        raise RuntimeError(f"{command[0]} is missing: run `scripts/bootstrap cluster`")
    environment = os.environ | {"PATH": SYSTEM_PATH}
    result = subprocess.run([program, *command[1:]], env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"`{' '.join(map(str, command))}` failed: {result.stderr.strip()}")
    return result.stdout
