"""The images that Pods of the cluster run, built when what they are made from has changed.

No registry serves them: they are imported. Unpacking them takes far longer than starting a cluster, so it is done once, in a
cache, and each cluster's containerd starts with a copy that shares the files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.cluster.addresses import SYSTEM_PATH, cache_folder
from tests.cluster.commands import run
from tests.cluster.containerd import Containerd
from tests.cluster.image_layout import ImageLayout
from tests.cluster.locks import exclusive
from tests.cluster.processes import Programs, end_all

_PROJECT: Final = Path(__file__).parents[2]
_VERSION: Final = tomllib.loads((_PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
OPERATOR: Final = f"tuning-operator:{_VERSION}"
TRAINER: Final = f"tuning-trainer:{_VERSION}"
POSTGRES: Final = "postgres:17"
_TARGETS: Final = {"operator": OPERATOR, "trainer": TRAINER, "postgres": POSTGRES}
# What a name without a host means to a kubelet.
_FULL: Final = "docker.io/library/"
_SOURCES: Final = (
    "Dockerfile",
    "README.md",
    "pyproject.toml",
    "operator",
    "trainer",
    "requirements",
    "scripts/image",
    "scripts/images",
    "tests/cluster/postgres",
)
_BASES: Final = ("OPERATOR_BASE", "TRAINER_BASE")
_STORE: Final = """
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{root}/opt"
"""
_READY_WITHIN: Final = 120.0


def build_images() -> ImageLayout:
    """All of them, as their sources are now."""
    folder = cache_folder() / "images"
    layout, stamp, key = ImageLayout(folder / "layout"), folder / "built", _key()
    with exclusive(folder / ".build.lock"):
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != key:
            stamp.unlink(missing_ok=True)
            subprocess.run([_PROJECT / "scripts" / "images", *_TARGETS], stdout=sys.stderr, check=True)
            for name in _TARGETS.values():
                _export(folder, name, layout)
            layout.prune()
            stamp.write_text(key, encoding="utf-8")
    return layout


def fill_store(target: Path) -> None:
    """Make the root folder of a containerd that has the images; it must not exist yet."""
    layout = build_images()
    folder = cache_folder() / "node"
    with exclusive(folder / ".lock"):
        end_all(folder)  # a killed run's
        _refresh_store(folder, layout)
        store = folder / "store"
        same_disk = store.stat().st_dev == target.parent.stat().st_dev
        run("cp", "--archive", *(["--link"] if same_disk else []), store, target)
        # Its databases are the only files that containerd writes to where they are.
        for database in store.glob("*/*.db"):
            own = target / database.relative_to(store)
            own.unlink()
            shutil.copy2(database, own)


def _refresh_store(folder: Path, layout: ImageLayout) -> None:
    stamp = folder / "images"
    held = "".join(sorted(layout.images.values()))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == held:
        return
    cut = folder / "cut"
    if cut.exists():  # an image has its name before it is unpacked
        shutil.rmtree(folder / "store", ignore_errors=True)
    cut.touch()
    stamp.unlink(missing_ok=True)
    programs = Programs(folder)
    with tempfile.TemporaryDirectory() as state:
        socket = Path(state, "containerd.sock")
        configuration = folder / "containerd.toml"
        configuration.write_text(_STORE.format(root=folder / "store", state=state, socket=socket), encoding="utf-8")
        programs.start("containerd", ["env", f"PATH={SYSTEM_PATH}", "containerd", "--config", configuration])
        try:
            containerd = Containerd(socket)
            programs.wait("containerd", lambda: containerd.answers, seconds=_READY_WITHIN)
            containerd.import_layout(layout)
        finally:
            programs.stop()
    stamp.write_text(held, encoding="utf-8")
    cut.unlink()


def _export(folder: Path, name: str, layout: ImageLayout) -> None:
    """Add an image to the layout; layers that are there already are not read again, which needs them uncompressed."""
    command = ["skopeo", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers"]
    environment = os.environ | {"CONTAINERS_STORAGE_CONF": str(folder / "storage.conf")}
    places = [f"containers-storage:localhost/{name}", f"oci:{layout.folder}:{_FULL}{name}"]
    subprocess.run([*command, *places], env=environment, check=True)


def _key() -> str:
    digest = hashlib.sha256(repr([os.environ.get(base) for base in _BASES]).encode())
    for path in _files():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(_PROJECT)} {os.access(path, os.X_OK)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    for name in _SOURCES:
        top = _PROJECT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


if __name__ == "__main__":
    build_images()
