"""Files that are made from the models: printed, or compared with what is committed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(text: str, *, description: str, arguments: Sequence[str] | None = None) -> int:
    """Print the text; with ``--check FILE`` say instead whether the file holds it.

    Returns:
        The exit status: 1 when the file differs.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", metavar="FILE", type=Path, help="compare with a file instead of printing")
    committed: Path | None = parser.parse_args(arguments).check
    if committed is None:
        sys.stdout.write(text)
        return 0
    if committed.is_file() and committed.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{committed} is not what the models say; generate it anew\n")
    return 1
