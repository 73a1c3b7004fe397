"""Tokens of local trials: random, and known to this process alone."""

from __future__ import annotations

import secrets
from typing import Final

from tuning_operator.gateway.bearer import digest
from tuning_operator.gateway.desk import AttemptRef

_TOKEN_BYTES: Final = 32


class LocalTokens:
    """An `Authenticator` that issues what it recognises. Nothing is persisted.

    Only digests are kept and compared: however long a comparison takes, it tells nothing about a token.
    """

    def __init__(self) -> None:
        self._holders: dict[bytes, AttemptRef] = {}

    def issue(self, ref: AttemptRef) -> str:
        """A new token for the attempt; those issued before stay valid."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._holders[digest(token)] = ref
        return token

    def revoke(self, ref: AttemptRef) -> None:
        """Forget all tokens of the attempt."""
        self._holders = {key: holder for key, holder in self._holders.items() if holder != ref}

    async def identify(self, token: str) -> AttemptRef | None:
        """The attempt to which the token was issued; None when it was not, or is revoked."""
        return self._holders.get(digest(token))
