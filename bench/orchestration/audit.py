"""Who asked the API server for what, and when it had answered: its audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

_WRITES: Final = frozenset(("create", "update", "patch", "delete", "deletecollection"))
# A watch is one request for all that it brings.
_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "None", "verbs": ["watch"]}, {"level": "Metadata"}],
}
_MEGABYTES: Final = 100_000  # one file: a rotated one would be searched in vain


@dataclass(frozen=True, kw_only=True)
class Request:
    """One that was answered."""

    user: str
    verb: str
    resource: str
    """With the subresource, such as pods/status."""
    namespace: str
    name: str
    manager: str
    """The field manager that it stated."""
    rehearsal: bool
    """A dry run, which changes nothing."""
    code: int
    at: float
    """When it was answered, by the API server's clock; seconds since the epoch, microseconds kept."""

    @property
    def writes(self) -> bool:
        """Whether it is one that may change something."""
        return self.verb in _WRITES and not self.rehearsal


class AuditLog:
    """The log of one API server."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "audit.log"
        self._policy = folder / "audit-policy.json"
        self._policy.write_text(json.dumps(_POLICY), encoding="utf-8")

    @property
    def options(self) -> tuple[str, ...]:
        """What kube-apiserver is started with."""
        policy, path = f"--audit-policy-file={self._policy}", f"--audit-log-path={self._file}"
        return policy, path, f"--audit-log-maxsize={_MEGABYTES}"

    def end(self) -> int:
        """The place from which later requests stand."""
        return self._file.stat().st_size

    def since(self, place: int, *, namespace: str) -> Iterator[Request]:
        """The requests about a namespace since then."""
        with self._file.open("rb") as log:
            log.seek(place)
            for line in log:
                event = json.loads(line)
                if event.get("objectRef", {}).get("namespace") == namespace:
                    yield _request(event)


def _request(event: dict[str, Any]) -> Request:
    about = event["objectRef"]
    stated = parse_qs(urlsplit(event["requestURI"]).query)
    subresource = about.get("subresource")
    return Request(
        user=event["user"]["username"],
        verb=event["verb"],
        resource=f"{about['resource']}/{subresource}" if subresource else about["resource"],
        namespace=about["namespace"],
        name=about.get("name", ""),
        manager=stated.get("fieldManager", [""])[0],
        rehearsal="dryRun" in stated,
        code=event["responseStatus"]["code"],
        at=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
    )
