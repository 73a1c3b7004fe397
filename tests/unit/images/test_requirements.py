"""What the images are made from, without making them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

_PROJECT: Final = Path(__file__).parents[3]
_IMAGES: Final = ["operator", "trainer", "build"]


def _pinned(name: str) -> set[str]:
    """Lines such as `scipy==1.18.1 ; python_full_version >= '3.12'`."""
    text = (_PROJECT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {found.removesuffix(" \\") for found in re.findall(r"^[a-z0-9][^#\n]*", text, re.MULTILINE)}


@pytest.mark.parametrize("image", _IMAGES)
def test_an_image_has_the_versions_that_the_tests_ran_with(image: str) -> None:
    pinned = _pinned(f"image-{image}")
    assert pinned
    assert pinned <= _pinned("dev")


@pytest.mark.parametrize("image", _IMAGES)
def test_torch_and_numpy_and_all_that_torch_brings_are_left_to_the_base(image: str) -> None:
    names = {line.partition("==")[0] for line in _pinned(f"image-{image}")}
    # nvidia-ml-py asks the driver for figures, and is no part of CUDA.
    assert not {name for name in names - {"nvidia-ml-py"} if re.match(r"(torch|numpy|triton|nvidia-|cuda-)", name)}


@pytest.mark.parametrize("path", ["Dockerfile", "tests/cluster/postgres/Dockerfile"])
def test_base_images_are_named_without_a_host(path: str) -> None:
    defaults = re.findall(r"^ARG \w*BASE=(\S+)$", (_PROJECT / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert defaults
    # A first part with a dot or a port is a host.
    assert not [name for name in defaults if "/" in name and re.search(r"[.:]", name.split("/")[0])]
