"""Which study: the same name in another cluster, or created again, is another study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_UID_SHOWN: Final = 8


@dataclass(frozen=True, kw_only=True)
class StudyIdentity:
    """Where a study lives. (cluster, uid) identifies it; namespace and name are how people call it."""

    cluster: str  # uid of the namespace kube-system, or what stands for it without a cluster
    uid: str
    namespace: str
    name: str

    @property
    def study_name(self) -> str:
        """Its name in Optuna: `<namespace>/<name>/<first 8 of uid>`."""
        return f"{self.namespace}/{self.name}/{self.uid[:_UID_SHOWN]}"
