"""A study in a cluster: what the operator's gateway knows of it, and what its object says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from typing import Final
from urllib.parse import quote

from pydantic import ValidationError

from tuning_operator.api.constants import API_VERSION, GROUP
from tuning_operator.api.crd import PLURAL
from tuning_operator.api.manifest import parse
from tuning_operator.api.problems import ManifestError
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import TuningStudy
from tuning_operator.cli.cluster import Answer, Cluster, ClusterError
from tuning_operator.gateway.bearer import well_formed
from tuning_operator.gateway.people import TOKEN_HEADER, VERSION_HEADER
from tuning_operator.gateway.people_wire import StudyDocument
from tuning_operator.runtime.kubernetes.names import TOKEN_AUDIENCE

OPERATOR_NAMESPACE: Final = "tuning-system"
_SERVICE: Final = "tuning-operator:gateway"
_PATIENCE: Final = 30.0  # seconds, besides what a request waits for by itself


class NoSuchStudyError(ClusterError):
    """There is no such study, or the user may not see it."""


class GatewayError(ClusterError):
    """The operator's gateway cannot be asked."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        """Say why, and whether the same request may succeed later."""
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True, kw_only=True)
class RemoteStudy:
    """A study by its name. Every method may raise UnreachableError."""

    cluster: Cluster
    namespace: str
    name: str
    operator_namespace: str = OPERATOR_NAMESPACE
    token: str | None = None  # for the gateway, instead of the kubeconfig's

    def document(self, *, uid: str = "") -> StudyDocument:
        """The study with all its trials and their reports: the newest of its name, or that of a uid.

        Raises:
            NoSuchStudyError: there is none.
            GatewayError: the gateway cannot be asked.
        """
        return self._document("", {"uid": uid})

    def progress(self, *, uid: str = "", after: str = "", wait: int = 0) -> StudyDocument:
        """The study with the trials that changed after a version, without their reports.

        Args:
            uid: as for `document`.
            after: version of an earlier answer.
            wait: seconds to wait for a change.

        Raises:
            NoSuchStudyError: there is none.
            GatewayError: the gateway cannot be asked.
        """
        return self._document("/progress", {"uid": uid, "after": after, "wait": str(wait)}, wait=wait)

    def object(self) -> TuningStudy:
        """The study as `kubectl get` shows it, status included.

        Raises:
            NoSuchStudyError: there is none.
            ClusterError: it cannot be read.
        """
        place = f"/apis/{API_VERSION}/namespaces/{quote(self.namespace, safe='')}/{PLURAL}/{quote(self.name, safe='')}"
        answer = self.cluster.get(place)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise NoSuchStudyError(
                f"there is no study {self.name} in namespace {self.namespace} ({answer.message}); kubectl get {PLURAL}.{GROUP} "
                f"--namespace={self.namespace} lists them"
            )
        if answer.status != HTTPStatus.OK:
            raise ClusterError(f"study {self.name} in namespace {self.namespace} cannot be read: {answer.message}")
        try:
            study = parse(answer.document)
            status = StudyStatus.model_validate_json(json.dumps(answer.document.get("status") or {}))
        except (ManifestError, ValidationError) as error:
            raise _other_version("the cluster's definition of TuningStudy", error) from None
        return study.model_copy(update={"status": status})

    def _document(self, resource: str, query: Mapping[str, str], *, wait: int = 0) -> StudyDocument:
        where = f"/api/v1/namespaces/{quote(self.operator_namespace, safe='')}/services/{_SERVICE}/proxy"
        what = f"/v1/studies/{quote(self.namespace, safe='')}/{quote(self.name, safe='')}{resource}"
        headers = {TOKEN_HEADER: self._token}
        answer = self.cluster.get(where + what, query=query, headers=headers, seconds=_PATIENCE + wait)
        if answer.status != HTTPStatus.OK:
            raise self._refused_by_api_server(answer) if answer.of_api_server else self._refused_by_gateway(answer)
        try:
            return StudyDocument.model_validate_json(answer.body)
        except ValidationError as error:
            raise _other_version(f"the operator's version {answer.headers.get(VERSION_HEADER, 'unknown')}", error) from None

    @property
    def _token(self) -> str:
        token = self._given or self.cluster.token
        if token is None:
            raise GatewayError(
                "the kubeconfig has no token that the gateway could check, only another credential; pass one with TUNING_TOKEN="
                f'"$(kubectl create token SERVICEACCOUNT --namespace={self.namespace} --audience={TOKEN_AUDIENCE})", '
                f"of a service account that may get {PLURAL}.{GROUP}"
            )
        return token

    @cached_property
    def _given(self) -> str:
        token = (self.token or "").strip()
        if token and not well_formed(token):
            raise ClusterError("--token or TUNING_TOKEN holds something else than a token; give the token alone, in one line")
        return token

    def _refused_by_api_server(self, answer: Answer) -> ClusterError:
        place = self.operator_namespace
        match answer.status:
            case HTTPStatus.UNAUTHORIZED:
                return ClusterError(
                    f"the API server does not accept the kubeconfig's credentials ({answer.message}); log in again as for kubectl"
                )
            case HTTPStatus.FORBIDDEN:
                return GatewayError(
                    f"you may not reach the operator through the API server ({answer.message}); ask to be bound to the Role of: "
                    f"kubectl create role tuning-gateway --namespace={place} --verb=get --resource=services/proxy "
                    f"--resource-name={_SERVICE}"
                )
            case HTTPStatus.NOT_FOUND:
                return GatewayError(
                    f"the operator is not installed in namespace {place} ({answer.message}); pass its --operator-namespace"
                )
        return GatewayError(
            f"the operator does not answer ({answer.message}); kubectl get pods --namespace={place} says why", passing=True
        )

    def _refused_by_gateway(self, answer: Answer) -> ClusterError:
        match answer.status:
            case HTTPStatus.UNAUTHORIZED:
                return GatewayError(f"the operator does not accept the token: {answer.message}")
            case HTTPStatus.NOT_FOUND if VERSION_HEADER in answer.headers:
                return NoSuchStudyError(answer.message)
            case HTTPStatus.NOT_FOUND:
                return GatewayError(
                    f"the operator does not know this request ({answer.message}); it is older than this command, "
                    f"{version('tuning-operator')}: use the command of its version"
                )
        passing = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return GatewayError(f"the operator cannot answer now: {answer.message}", passing=passing)


def _other_version(what: str, error: Exception) -> GatewayError:
    """The sentence for a document of another release."""
    return GatewayError(
        f"{what} does not go with this command's, {version('tuning-operator')}: {_first(error)}; use the command of that version"
    )


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]
