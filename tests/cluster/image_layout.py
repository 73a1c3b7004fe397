"""A folder of images in the layout of the OCI image specification: an index by name, and blobs by digest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_NAME: Final = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class ImageLayout:
    """Images share the layers that they have in common."""

    folder: Path

    @property
    def images(self) -> Mapping[str, str]:
        """Names and digests."""
        return {entry["annotations"][_NAME]: entry["digest"] for entry in self._index()}

    def prune(self) -> None:
        """Remove the blobs that no image has any more."""
        used = {self._path(digest) for entry in self._index() for digest in self._blobs(entry["digest"])}
        for path in (self.folder / "blobs").glob("*/*"):
            if path not in used:
                path.unlink()

    def _index(self) -> list[dict[str, Any]]:
        manifests: list[dict[str, Any]] = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))["manifests"]
        return manifests

    def _blobs(self, digest: str) -> Iterator[str]:
        manifest = json.loads(self._path(digest).read_text(encoding="utf-8"))
        yield digest
        yield manifest["config"]["digest"]
        yield from (layer["digest"] for layer in manifest["layers"])

    def _path(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")
