"""containerd as kubelet uses it: which images it has, and how it gets more."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.commands import run
from tests.cluster.image_layout import ImageLayout


@dataclass(frozen=True)
class Containerd:
    """A running one."""

    socket: Path

    @property
    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            self._ctr("version")
        except RuntimeError:
            return False
        return True

    @property
    def images(self) -> Mapping[str, str]:
        """Names and digests of its images."""
        rows = [line.split() for line in self._ctr("images", "list").splitlines()[1:]]
        return {name: digest for name, _, digest, *_ in rows}

    def import_archive(self, archive: Path) -> None:
        """Take the images of a file in the format of `docker save`."""
        self._ctr("images", "import", str(archive))

    def import_layout(self, layout: ImageLayout) -> None:
        """Take the images of a folder, of which only what is missing here is read."""
        if layout.images.items() <= self.images.items():
            return
        had = self._ctr("content", "list", "--quiet").splitlines()
        left_out = [f"--exclude=./blobs/{digest.replace(':', '/')}" for digest in had]
        with subprocess.Popen(["tar", "--create", "--directory", layout.folder, *left_out, "."], stdout=subprocess.PIPE) as tar:
            result = subprocess.run(self._command("images", "import", "-"), stdin=tar.stdout, capture_output=True, check=False)
        if tar.returncode or result.returncode:
            raise RuntimeError(f"the images in {layout.folder} cannot be imported: {result.stderr.decode().strip()}")

    def _ctr(self, *arguments: str) -> str:
        return run(*self._command(*arguments))

    def _command(self, *arguments: str) -> tuple[str, ...]:
        return ("ctr", f"--address={self.socket}", "--namespace=k8s.io", *arguments)
