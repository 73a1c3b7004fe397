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
        return {entry["annotations"][_NAME]: entry["digest"] for entry in self._named()}

    def prune(self) -> None:
        """Remove what has lost its name to a newer image, and the blobs that no image has any more."""
        kept = self._named()
        index = self._index() | {"manifests": kept}
        self._index_file.write_text(json.dumps(index), encoding="utf-8")
        used = {self._path(digest) for entry in kept for digest in self._blobs(entry["digest"])}
        for path in (self.folder / "blobs").glob("*/*"):
            if path not in used:
                path.unlink()

    @property
    def _index_file(self) -> Path:
        return self.folder / "index.json"

    def _index(self) -> dict[str, Any]:
        index: dict[str, Any] = json.loads(self._index_file.read_text(encoding="utf-8"))
        return index

    def _named(self) -> list[dict[str, Any]]:
        return [entry for entry in self._index()["manifests"] if _NAME in entry.get("annotations", {})]

    def _blobs(self, digest: str) -> Iterator[str]:
        manifest = json.loads(self._path(digest).read_text(encoding="utf-8"))
        yield digest
        yield manifest["config"]["digest"]
        yield from (layer["digest"] for layer in manifest["layers"])

    def _path(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")
