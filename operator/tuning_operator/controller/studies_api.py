"""The few requests about TuningStudy objects themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from tuning_operator.api.constants import GROUP, VERSION
from tuning_operator.api.crd import PLURAL
from tuning_operator.runtime.kubernetes.client import Document, KubernetesApi, Listing, collection

FIELD_MANAGER: Final = "tuning-operator"
_APPLY: Final = "application/apply-patch+yaml"


class StudiesApi:
    """Requests. Each method raises `ApiUnavailableError`, or `RequestRefusedError` of the kind that applies."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def list_all(self, namespace: str | None) -> Listing:
        """Every study of a namespace, or of all."""
        return await self._api.list_pages(_studies(namespace))

    async def read(self, namespace: str, name: str) -> Document:
        """A study as it is now."""
        return await self._api.request("GET", _study(namespace, name))

    async def apply_status(self, document: Mapping[str, Any]) -> Document:
        """Server-side apply of a status. With metadata.resourceVersion, a study that has changed since refuses it (409)."""
        metadata = document["metadata"]
        path = f"{_study(metadata['namespace'], metadata['name'])}/status"
        query = [("fieldManager", FIELD_MANAGER), ("force", "true"), ("fieldValidation", "Strict")]
        return await self._api.request("PATCH", path, query=query, body=document, content_type=_APPLY)

    async def delete(self, namespace: str, name: str, *, uid: str) -> None:
        """Delete the study of that uid; its Jobs follow."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._api.request("DELETE", _study(namespace, name), body=body)

    async def post_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Create an Event, which `kubectl describe` shows."""
        await self._api.request("POST", collection("/api/v1", "events", namespace), body=event)

    async def cluster_uid(self) -> str:
        """What tells this cluster from others: the uid of the namespace kube-system."""
        namespace = await self._api.request("GET", "/api/v1/namespaces/kube-system")
        return str(namespace["metadata"]["uid"])


def _studies(namespace: str | None) -> str:
    return collection(f"/apis/{GROUP}/{VERSION}", PLURAL, namespace)


def _study(namespace: str, name: str) -> str:
    return f"{_studies(namespace)}/{quote(name, safe='')}"
