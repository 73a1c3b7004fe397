"""The API server of the user's kubeconfig, asked with the user's own credentials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config
from yaml import YAMLError  # type: ignore[import-untyped]

_BEARER: Final = "Bearer "
_CONNECT_SECONDS: Final = 10.0
_LONGEST_EXCERPT: Final = 200


class ClusterError(Exception):
    """What keeps a command from seeing a study, in a sentence with the remedy."""


class UnreachableError(ClusterError):
    """The API server does not answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer to an HTTP request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Mapping[str, Any]:
        """The JSON object in it; empty when it holds none."""
        with suppress(ValueError, RecursionError):
            document = json.loads(self.body)
            if isinstance(document, dict):
                return document
        return {}

    @property
    def message(self) -> str:
        """What went wrong, as the API server or what it leads to says it."""
        said = self.document.get("message") or self.document.get("error")
        return str(said or f"{self.status} {self.body[:_LONGEST_EXCERPT].decode(errors='replace')}").strip()

    @property
    def of_api_server(self) -> bool:
        """Whether the API server itself refused, rather than what it leads to."""
        return self.document.get("kind") == "Status"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """An API server and the credentials for it."""

    client: ApiClient
    namespace: str  # of the context

    @classmethod
    def connect(cls, *, kubeconfig: Path | None, context: str | None) -> Self:
        """The cluster of a context, of the current one by default. Sends nothing yet, but may run a login plugin.

        Raises:
            ClusterError: there is no such context.
        """
        file = None if kubeconfig is None else str(kubeconfig)
        configuration = Configuration()
        try:
            load_kube_config(file, context, configuration)
        except (ConfigException, YAMLError, OSError, UnicodeDecodeError, TypeError) as error:
            raise ClusterError(
                f"the kubeconfig cannot be used: {_line(error)}; set KUBECONFIG, or pass --kubeconfig and --context"
            ) from None
        return cls(client=ApiClient(configuration), namespace=_namespace(file, context))

    @property
    def token(self) -> str | None:
        """The token that the kubeconfig gives, renewed when it is due; None with other credentials."""
        credentials = self.client.configuration.get_api_key_with_prefix("BearerToken")
        return credentials.removeprefix(_BEARER) if credentials and credentials.startswith(_BEARER) else None

    def get(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> Answer:
        """Ask the API server.

        Args:
            path: from the root.
            query: parameters, empty ones left out.
            headers: besides the user's credentials.
            seconds: after which the request is given up.

        Raises:
            UnreachableError: it does not answer.
        """
        configuration = self.client.configuration
        words = urlencode({name: value for name, value in (query or {}).items() if value})
        url = f"{configuration.host}{path}{'?' if words else ''}{words}"
        credentials = configuration.get_api_key_with_prefix("BearerToken")
        sent = {"Accept": "application/json", **(headers or {}), **({"Authorization": credentials} if credentials else {})}
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds)
        try:
            # Whatever the API server leads to may answer with a redirection: credentials must not follow it.
            answer = self.client.rest_client.pool_manager.request(
                "GET", url, headers=sent, timeout=timeout, retries=False, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(
                f"the API server at {configuration.host} does not answer: {_line(error)}; check with kubectl get --raw /readyz"
            ) from None
        return Answer(status=answer.status, headers=answer.headers, body=answer.data)


def _namespace(file: str | None, context: str | None) -> str:
    """Of the context, as kubectl takes it."""
    try:
        contexts, current = list_kube_config_contexts(file)
    except ConfigException:  # none of the contexts is the current one
        return "default"
    chosen = current if context is None else next(each for each in contexts if each["name"] == context)
    return chosen["context"].get("namespace") or "default"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
