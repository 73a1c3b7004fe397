"""The programs of a Kubernetes cluster, built from Go modules once for all checkouts: python -m tests.cluster.binaries

They are cached by what they are made from, in $XDG_CACHE_HOME/tuning-operator. A program in the folder
$KUBEBUILDER_ASSETS is taken from there instead.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.cluster.go import go
from tests.cluster.locks import exclusive

CONTROL_PLANE: Final = ("kube-apiserver", "kube-controller-manager", "kubectl")
_MODULE: Final = Path(__file__).parent / "binaries"
_PACKAGES: Final = {
    "celcost": "./celcost",
    **{name: f"k8s.io/kubernetes/cmd/{name}" for name in (*CONTROL_PLANE, "kube-scheduler", "kubelet", "kube-proxy")},
}


class BuildError(RuntimeError):
    """Go could not build a program; the text is its own."""


def version() -> str:
    """The version of Kubernetes that go.mod names, such as v1.34.4."""
    required = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", (_MODULE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    assert required is not None, "go.mod requires k8s.io/kubernetes"
    return required[1]


def binary(name: str) -> Path:
    """The path of a program, which is built if nobody has done so yet.

    Raises:
        GoMissingError: it has to be built and there is no Go.
        BuildError: it cannot be built.
    """
    return binaries(name)[0]


def binaries(*names: str) -> tuple[Path, ...]:
    """The paths of several programs; those that are missing are built together, which shares most of the work."""
    cache = _cache()
    paths = tuple(_given(name) or cache / name for name in names)
    if missing := [path.name for path in paths if not path.exists()]:
        with exclusive(cache / ".lock"):
            _build([name for name in missing if not (cache / name).exists()], cache)
    return paths


def etcd() -> Path:
    """The path of etcd, which is not built: distributions have it.

    Raises:
        RuntimeError: there is none; the sentence says what to install.
    """
    found = _given("etcd") or shutil.which("etcd")
    if found is None:
        raise RuntimeError("etcd is missing: install it with `apt-get install etcd-server`")
    return Path(found)


def _given(name: str) -> Path | None:
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    path = Path(folder, name) if folder else None
    return path if path and path.exists() else None


def _cache() -> Path:
    sources = sorted(path for path in _MODULE.rglob("*") if path.suffix in {".go", ".mod", ".sum"})
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "tuning-operator" / f"kubernetes-{version()}-{digest[:12]}"


def _build(names: Sequence[str], cache: Path) -> None:
    """Build into a folder beside the cache's files, so that a program stands there only when it is whole."""
    if not names:
        return
    major, minor, _ = version().removeprefix("v").split(".")
    stamps = {"gitVersion": version(), "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamps.items())])
    with tempfile.TemporaryDirectory(dir=cache, prefix=".build-") as folder:
        command = [
            "nice",
            go(),
            "build",
            "-trimpath",
            "-ldflags",
            flags,
            "-o",
            f"{folder}/",
            *(_PACKAGES[name] for name in names),
        ]
        # A GOROOT of the environment is that of another Go than the one that may just have been fetched.
        environment = {key: value for key, value in os.environ.items() if key != "GOROOT"} | {"CGO_ENABLED": "0"}
        result = subprocess.run(command, cwd=_MODULE, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            raise BuildError(f"{', '.join(names)} cannot be built: {result.stderr.strip()}")
        for name in names:
            Path(folder, name).rename(cache / name)


if __name__ == "__main__":
    for path in binaries(*(sys.argv[1:] or (*CONTROL_PLANE, "celcost"))):
        print(path)  # noqa: T201 -- what this command is for
