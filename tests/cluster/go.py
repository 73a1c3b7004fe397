"""A Go that is new enough: the one on PATH, or a toolchain that an older one fetches as the module it is published as."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Final

NEEDED: Final = (1, 24)
_TOOLCHAIN: Final = "go1.24.13"
ARCHITECTURE: Final = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


class GoMissingError(RuntimeError):
    """There is no usable Go; the sentence says what to install."""


def go() -> str:
    """The path of a Go of at least version NEEDED.

    Raises:
        GoMissingError: there is none.
    """
    found = shutil.which("go")
    if found is None:
        raise GoMissingError("Go is missing: install 1.24 or newer, or any older one with `apt-get install golang-go`")
    return found if _version(found) >= NEEDED else str(_toolchain(found))


def _version(program: str) -> tuple[int, int]:
    # Outside a module, since inside one a newer Go answers for the toolchain that go.mod names.
    answer = _run(program, "version").strip()
    version = re.search(r"go(\d+)\.(\d+)", answer)
    if version is None:
        raise GoMissingError(f"{program} says {answer!r}, which is no version; install Go 1.24 or newer")
    return int(version[1]), int(version[2])


def _toolchain(old_go: str) -> Path:
    """Go's own releases are modules, checked like any other: an old Go can download one, though it cannot switch to it."""
    release = f"v0.0.1-{_TOOLCHAIN}.linux-{ARCHITECTURE}"
    modules = Path(_run(old_go, "env", "GOMODCACHE").strip())
    folder = modules / "golang.org" / f"toolchain@{release}"
    if not (folder / "bin" / "go").exists():
        _run(old_go, "mod", "download", f"golang.org/toolchain@{release}")
    for programs in (folder / "bin", folder / "pkg" / "tool"):
        for program in programs.rglob("*"):
            # A module's files are not executable, and its folders are read-only: only the files' modes change.
            if program.is_file() and not os.access(program, os.X_OK):
                program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return folder / "bin" / "go"


def _run(program: str, *arguments: str) -> str:
    result = subprocess.run([program, *arguments], cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False)
    if result.returncode:
        command = " ".join(["go", *arguments])
        raise GoMissingError(f"`{command}` failed: {result.stderr.strip()}; install Go 1.24 or newer")
    return result.stdout
