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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.cluster.addresses import cache_folder
from tests.cluster.go import go
from tests.cluster.locks import exclusive

CONTROL_PLANE: Final = ("kube-apiserver", "kube-controller-manager", "kubectl")
NODE: Final = ("kube-scheduler", "kubelet", "kube-proxy", "coredns", "pause")
# A Go module of ours -> the module whose version names its folder in the cache, and its programs by package.
_MODULES: Final = {
    "kubernetes": (
        "k8s.io/kubernetes",
        {
            **{name: f"k8s.io/kubernetes/cmd/{name}" for name in (*CONTROL_PLANE, "kube-scheduler", "kubelet", "kube-proxy")},
            "celcost": "./celcost",
            "pause": "./pause",
        },
    ),
    "coredns": ("github.com/coredns/coredns", {"coredns": "github.com/coredns/coredns"}),
}


class BuildError(RuntimeError):
    """Go could not build a program; the text is its own."""


@dataclass(frozen=True)
class _Module:
    """A Go module of ours that pins programs and builds them."""

    folder: Path
    version: str
    """Of what it is about, such as v1.34.4."""
    packages: Mapping[str, str]

    @classmethod
    def of(cls, program: str) -> Self:
        """The one that builds a program."""
        folder, (about, packages) = next((name, each) for name, each in _MODULES.items() if program in each[1])
        path = Path(__file__).parent / "binaries" / folder
        required = re.search(rf"\b{re.escape(about)} (v\S+)$", (path / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
        assert required is not None, f"go.mod requires {about}"
        return cls(path, required[1], packages)

    @property
    def cache(self) -> Path:
        """Where its programs lie, by what they are made from."""
        sources = sorted(path for path in self.folder.rglob("*") if path.suffix in {".go", ".mod", ".sum"})
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
        return cache_folder() / f"{self.folder.name}-{self.version}-{digest[:12]}"

    def build(self, programs: Sequence[str]) -> None:
        """Build what is missing, together, which shares most of the work.

        They are built beside their places, so that a program stands there only when it is whole.
        """
        with exclusive(self.cache / ".lock"):
            missing = [name for name in programs if not (self.cache / name).exists()]
            if not missing:
                return
            sys.stderr.write(f"building {', '.join(missing)} once for all checkouts, which takes minutes\n")
            with tempfile.TemporaryDirectory(dir=self.cache, prefix=".build-") as folder:
                self._compile(missing, folder)
                for name in missing:
                    Path(folder, name).rename(self.cache / name)

    def _compile(self, programs: Sequence[str], folder: str) -> None:
        packages = [self.packages[name] for name in programs]
        # Without -buildvcs=false Go asks git, which may refuse a checkout of another user.
        command = ["nice", go(), "build", "-trimpath", "-buildvcs=false", "-ldflags", self._flags, "-o", f"{folder}/", *packages]
        # A GOROOT of the environment is that of another Go than the one that may just have been fetched.
        environment = {key: value for key, value in os.environ.items() if key != "GOROOT"} | {"CGO_ENABLED": "0"}
        result = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            raise BuildError(f"{', '.join(programs)} cannot be built: {result.stderr.strip()}")

    @property
    def _flags(self) -> str:
        major, minor, _ = self.version.removeprefix("v").split(".")
        stamps = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor}
        return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamps.items())])


def binary(name: str) -> Path:
    """The path of a program, which is built if nobody has done so yet.

    Raises:
        GoMissingError: it has to be built and there is no Go.
        BuildError: it cannot be built.
    """
    return binaries(name)[0]


def binaries(*names: str) -> tuple[Path, ...]:
    """The paths of several programs; those that are missing are built."""
    modules = {name: _Module.of(name) for name in names if not _given(name)}
    for folder in {module.folder for module in modules.values()}:
        ours = [name for name, module in modules.items() if module.folder == folder]
        modules[ours[0]].build(ours)
    return tuple(
        modules[name].cache / name if name in modules else Path(os.environ["KUBEBUILDER_ASSETS"], name) for name in names
    )


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


if __name__ == "__main__":
    for path in binaries(*(sys.argv[1:] or (*CONTROL_PLANE, *NODE, "celcost"))):
        sys.stdout.write(f"{path}\n")
