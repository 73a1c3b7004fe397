"""Bearer tokens: their digest, and what they say of themselves."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

_SYNTAX: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, section 2.1


class PodRef(NamedTuple):
    """A Pod, and no other of the same name before or after it."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class Claims:
    """What a token says of itself, until somebody has checked its signature: a hint that may be a lie."""

    expires: float = math.inf  # seconds since the epoch
    pod: PodRef | None = None  # to which it is bound
    audiences: frozenset[str] = frozenset()  # that are to accept it


def well_formed(token: str) -> bool:
    """Whether it may be a token of any kind."""
    return _SYNTAX.fullmatch(token) is not None


def digest(*parts: str) -> bytes:
    """What stands for a token, and for what belongs to it, wherever it is remembered."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()


def claims(token: str) -> Claims:
    """What a JSON Web Token says (RFC 7519), with the claims of Kubernetes' service accounts; nothing for any other token."""
    try:
        _header, payload, _signature = token.split(".")
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return Claims()
    return Claims(expires=_expires(said), pod=_pod(said), audiences=_audiences(said))


def _expires(said: Any) -> float:
    match said:
        case {"exp": int() | float() as expires} if -math.inf < expires < math.inf and not isinstance(expires, bool):
            return min(expires, float(2**53))  # a larger integer may be beyond any float
    return math.inf


def _pod(said: Any) -> PodRef | None:
    match said:
        case {"kubernetes.io": {"namespace": str() as namespace, "pod": {"name": str() as name, "uid": str() as uid}}}:
            return PodRef(namespace, name, uid)
    return None


def _audiences(said: Any) -> frozenset[str]:
    match said:
        case {"aud": str() as audience}:
            return frozenset((audience,))
        case {"aud": list() as audiences}:
            return frozenset(audience for audience in audiences if isinstance(audience, str))
    return frozenset()
