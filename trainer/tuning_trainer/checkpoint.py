"""A training's state in one file that is either whole or refused."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import torch

from tuning_trainer.files import remove_leftovers, replacing

_HEADER: Final = b"tuning-trainer checkpoint 1\n"
"""Changes with the meaning of the state, so that an older file is refused and not misread."""


class CheckpointRefusedError(ValueError):
    """The file is torn, or was written by another training. One sentence that names it."""


class CheckpointFile:
    """The checkpoint of one training: a header, the SHA-256 of what follows, and the state as torch saves it.

    The checksum is ours because torch itself loads a file with a zeroed block without a word.

    Args:
        path: the file; its directory need not exist yet.
        training: what makes the training this one, such as its settings and seed. A file written by another is refused.
    """

    def __init__(self, path: Path, *, training: Mapping[str, Any]) -> None:
        self._path = path
        self._training = dict(training)

    def __str__(self) -> str:
        return str(self._path)

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file. Whoever reads it, after a loss of power too, finds the old state or the new one.

        Raises:
            OSError: it cannot be written.
        """
        payload = BytesIO()
        torch.save({"training": self._training, "state": dict(state)}, payload)
        with replacing(self._path) as unfinished, unfinished.open("wb") as file:
            file.write(_HEADER + hashlib.sha256(payload.getbuffer()).digest())
            file.write(payload.getbuffer())

    def load(self) -> Mapping[str, Any] | None:
        """The state last saved, its tensors on the CPU; None before the first.

        Raises:
            CheckpointRefusedError: the file is torn, or was written by another training.
            OSError: it cannot be read.
        """
        if not self._path.exists():
            return None
        document = self._document(self._payload())
        written: Mapping[str, Any] = document["training"]
        for name in sorted({*written, *self._training}):
            if written.get(name) != self._training.get(name):
                raise CheckpointRefusedError(
                    f"checkpoint {self._path} belongs to another training:"
                    f" its {name} is {written.get(name)!r}, this one's is {self._training.get(name)!r}"
                )
        state: Mapping[str, Any] = document["state"]
        return state

    def remove(self) -> None:
        """Delete the file, and what attempts that were killed while they saved have left; there may be none.

        Raises:
            OSError: it cannot be deleted.
        """
        self._path.unlink(missing_ok=True)
        remove_leftovers(self._path)

    def _document(self, payload: bytes) -> Mapping[str, Any]:
        try:
            # weights_only: whoever can write the volume must not be able to run code here.
            document: Mapping[str, Any] = torch.load(BytesIO(payload), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise CheckpointRefusedError(f"checkpoint {self._path} holds more than tensors and plain values") from error
        return document

    def _payload(self) -> bytes:
        content = self._path.read_bytes()
        if not content.startswith(_HEADER):
            raise CheckpointRefusedError(f"checkpoint {self._path} was not written by this version of the trainer")
        digest_end = len(_HEADER) + hashlib.sha256().digest_size
        digest, payload = content[len(_HEADER) : digest_end], content[digest_end:]
        if hashlib.sha256(payload).digest() != digest:
            raise CheckpointRefusedError(f"checkpoint {self._path} is torn: its checksum does not fit its content")
        return payload
