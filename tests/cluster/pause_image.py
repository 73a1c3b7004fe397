"""The image of the container that holds a Pod's namespaces: one program, in the archive format of `docker save`."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.cluster.go import ARCHITECTURE


def write_pause_image(archive: Path, program: Path, name: str) -> None:
    """Write the archive. The same program gives the same bytes."""
    layer = _tar({"pause": program.read_bytes()})
    digest = hashlib.sha256(layer).hexdigest()
    configuration = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {
        "config.json": json.dumps(configuration).encode(),
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    archive.write_bytes(_tar(files))


def _tar(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o555
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()
