from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cluster.image_layout import ImageLayout


def _blob(folder: Path, digest: str, content: str = "") -> str:
    path = folder / "blobs" / digest.replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return digest


def _image(folder: Path, name: str, *layers: str) -> dict[str, object]:
    """An index entry whose blobs are named after what they are."""
    document = {
        "config": {"digest": _blob(folder, f"sha256:{name}-config")},
        "layers": [{"digest": _blob(folder, f"sha256:{layer}")} for layer in layers],
    }
    digest = _blob(folder, f"sha256:{name}-manifest", json.dumps(document))
    return {"digest": digest, "annotations": {"org.opencontainers.image.ref.name": name}}


@pytest.fixture
def layout(tmp_path: Path) -> ImageLayout:
    replaced = {"digest": _image(tmp_path, "replaced", "shared", "old")["digest"]}
    kept = _image(tmp_path, "kept", "shared", "own")
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [replaced, kept]}), encoding="utf-8")
    return ImageLayout(tmp_path)


def test_an_image_whose_name_was_given_to_another_is_none(layout: ImageLayout) -> None:
    assert layout.images == {"kept": "sha256:kept-manifest"}


def test_pruning_removes_what_only_a_replaced_image_had(layout: ImageLayout) -> None:
    layout.prune()
    assert layout.images == {"kept": "sha256:kept-manifest"}
    assert "replaced" not in (layout.folder / "index.json").read_text(encoding="utf-8")
    left = {path.name for path in (layout.folder / "blobs" / "sha256").iterdir()}
    assert left == {"kept-manifest", "kept-config", "shared", "own"}
