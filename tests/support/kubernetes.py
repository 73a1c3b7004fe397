"""A real API server with our definition in it, and studies as people and the operator send them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from kubernetes import aio
from kubernetes.client import ApiClient, Configuration, CustomObjectsApi
from kubernetes.client.exceptions import ApiException
from tests.cluster.control_plane import ControlPlane, KubectlError, running_control_plane
from tests.cluster.waiting import until

from tuning_operator.api.constants import GROUP, VERSION
from tuning_operator.api.crd import PLURAL

Document = dict[str, Any]

DEFINITION: Final = Path(__file__).parents[2] / "crds" / "tuningstudy.yaml"
_TIMEOUT: Final = 30


class RefusedError(Exception):
    """The API server refused; the text is its message."""


class AbsentError(RefusedError):
    """There is no such object."""


@dataclass(frozen=True)
class ApiServer:
    """A Kubernetes API without nodes, in which TuningStudy is defined."""

    plane: ControlPlane
    client: ApiClient

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints, as an administrator."""
        return self.plane.kubectl(*arguments, stdin=stdin)

    def request(
        self, method: str, path: str, body: Document | None = None, *, content_type: str = "application/json"
    ) -> Document:
        """The answer to a request as an administrator, as a document.

        Raises:
            RefusedError: the API server refused.
        """
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = self.client.param_serialize(method, path, header_params=headers, body=body)
        answer = self.client.call_api(*request, _request_timeout=_TIMEOUT)
        document: Document = json.loads(answer.response.data)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise AbsentError(document["message"])
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(document["message"])
        return document

    def wait_ready(self) -> None:
        """Wait until it takes requests again."""
        until(lambda: _is_ready(self.plane), seconds=_TIMEOUT, what="the API server is ready")

    def configuration(self) -> aio.client.Configuration:
        """For an asynchronous client, as an administrator."""
        plane = self.plane
        return aio.client.Configuration(
            host=plane.url,
            ssl_ca_cert=str(plane.authority.own.certificate),
            cert_file=str(plane.admin.certificate),
            key_file=str(plane.admin.key),
            client_session_kwargs={"trust_env": False},  # it is on this machine: no proxy leads there
        )

    def create_namespace(self) -> str:
        """A namespace of its own for a test. Returns its name."""
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}}
        created = json.loads(self.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(document)))
        return str(created["metadata"]["name"])

    def create_study(self, namespace: str, document: Document, *, dry_run: bool = False) -> Document:
        """The study as the API server keeps it; a dry run goes through every check and keeps nothing.

        Raises:
            RefusedError: it is not valid, or has fields that do not exist.
        """
        with _refusals():
            created = CustomObjectsApi(self.client).create_namespaced_custom_object(
                GROUP,
                VERSION,
                namespace,
                PLURAL,
                document,
                field_validation="Strict",
                dry_run="All" if dry_run else None,
                _request_timeout=_TIMEOUT,
            )
        return _object(created)

    def apply_status(self, namespace: str, document: Document, *, manager: str, force: bool = True) -> Document:
        """The study after a server-side apply of its status.

        Raises:
            RefusedError: the status does not fit, or somebody else owns a field and force is off.
        """
        with _refusals():
            applied = CustomObjectsApi(self.client).patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                namespace,
                PLURAL,
                document["metadata"]["name"],
                document,
                field_manager=manager,
                field_validation="Strict",
                force=force,
                _content_type="application/apply-patch+yaml",
                _request_timeout=_TIMEOUT,
            )
        return _object(applied)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise RefusedError(json.loads(str(error.body))["message"]) from None


def _object(answer: object) -> Document:
    # The client gives None for an answer that it did not expect.
    assert isinstance(answer, dict), answer
    return answer


def _is_ready(plane: ControlPlane) -> bool:
    try:
        plane.kubectl("get", "--raw=/readyz")
    except KubectlError:
        return False
    return True


def _serves_studies(plane: ControlPlane) -> bool:
    """Serves and describes them: the one begins a moment after the other."""
    try:
        plane.kubectl("get", PLURAL)
        plane.kubectl("explain", PLURAL)
    except KubectlError:
        return False
    return True


@contextmanager
def running_api_server(*, controllers: bool = True, api_server_options: Sequence[str] = ()) -> Iterator[ApiServer]:
    """A started one that serves TuningStudy, stopped and removed at the end. See `running_control_plane`."""
    with running_control_plane(controllers=controllers, api_server_options=api_server_options) as plane:
        plane.kubectl("create", f"--filename={DEFINITION}")
        until(lambda: _serves_studies(plane), seconds=_TIMEOUT, what="the API server serves TuningStudy")
        configuration = Configuration(host=plane.url, ssl_ca_cert=str(plane.authority.own.certificate), no_proxy="*")
        configuration.cert_file, configuration.key_file = str(plane.admin.certificate), str(plane.admin.key)
        with ApiClient(configuration) as client:
            yield ApiServer(plane, client)
