"""Seeds, derived and never drawn: the same study gives the same seeds on every machine."""

import hashlib

SEED_BITS = 31


def derive_seed(study_seed: int, *path: str | int) -> int:
    """A seed in [0, 2**31) for one purpose, such as ("trial", 7), independent of every other purpose.

    The study's seed and the path are hashed with SHA-256, so that neighbouring numbers share nothing.
    """
    text = "/".join(str(part) for part in (study_seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - SEED_BITS)
