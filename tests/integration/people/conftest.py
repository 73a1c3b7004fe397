"""A real API server whose service proxy leads to a gateway in this process, and people with rights of their own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient
from tests.cluster.control_plane import KubectlError
from tests.cluster.waiting import until
from tests.integration.gateway.memory_desk import MemoryDesk
from tests.support.kubernetes import ApiServer, running_api_server
from tests.unit.people.studies import Opened, OpenedStudy, running

from tuning_operator.controller.people import StudyLibrary
from tuning_operator.gateway import Gateway, LocalTokens
from tuning_operator.gateway.cluster import Readers
from tuning_operator.gateway.people import PeopleApi
from tuning_operator.gateway.reviews import ClusterReviews
from tuning_operator.runtime.kubernetes.names import TOKEN_AUDIENCE
from tuning_operator.store import Database, prepare

NAME: Final = "digits"
PATIENCE: Final = 60.0
_TUNING: Final = Path(sys.executable).with_name("tuning")


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    with running_api_server() as server:
        yield server


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """An empty namespace, for a study."""
    return api_server.create_namespace()


@pytest.fixture
def operator_namespace(api_server: ApiServer) -> str:
    """An empty namespace, for an operator."""
    return api_server.create_namespace()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty one."""
    url = f"sqlite:///{tmp_path_factory.mktemp('people') / 'study.db'}"
    prepare(url)
    database = Database.connect(url)
    yield database
    database.close()


@pytest.fixture
def study() -> OpenedStudy:
    """The study that the operator has open. What it says of it is simulated, for tests of the way there alone."""
    return OpenedStudy(running())


@dataclass
class Request:
    headers: dict[str, str]


@pytest.fixture
def seen() -> list[Request]:
    """What reaches the gateway's port."""
    return []


@pytest.fixture
async def readers(api_server: ApiServer) -> AsyncIterator[Readers]:
    async with ApiClient(api_server.configuration()) as client:
        yield Readers(ClusterReviews(client), time.time, audience=TOKEN_AUDIENCE)


@pytest.fixture
def library(database: Database, study: OpenedStudy, namespace: str) -> StudyLibrary:
    opened = Opened({(namespace, NAME): study})
    return StudyLibrary(open_studies=opened, database=database, cluster="test", version="0.1.0")


@pytest.fixture
async def gateway(library: StudyLibrary, readers: Readers, seen: list[Request]) -> AsyncIterator[Gateway]:
    """Serves the study, and two routes that show what becomes of a request on its way."""

    async def echo(request: web.Request) -> web.Response:
        seen.append(Request(dict(request.headers)))
        return web.Response()

    host = _own_address()
    people = PeopleApi(library, readers, version="0.1.0").routes()
    gateway = Gateway(MemoryDesk(), LocalTokens(), host=host, routes=(*people, web.get("/echo", echo), web.get("/away", _away)))
    await gateway.start()
    yield gateway
    await gateway.close()


async def _away(request: web.Request) -> web.Response:
    """A redirection to where the gateway is found without the API server."""
    assert request.transport is not None, "the request has just come"
    host, port = request.transport.get_extra_info("sockname")
    return web.Response(status=302, headers={"Location": f"http://{host}:{port}/echo"})


def _own_address() -> str:
    """Of this machine: the API server leads to no loopback address. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.254", 9))
        return str(probe.getsockname()[0])


@dataclass
class Operator:
    """The Service of an operator, as the API server sees it."""

    server: ApiServer
    namespace: str

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return self.server.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def wait_for_pods(self) -> None:
        """The Service has no Pod yet, and the cluster knows."""
        self._create("Service", spec={"selector": {"app": "tuning-operator"}, "ports": [{"name": "gateway", "port": 8080}]})

        def known() -> bool:
            return "tuning-operator" in self.kubectl("get", "endpoints", "--output=name")

        until(known, seconds=PATIENCE, what="the Service has an empty list of endpoints")

    def lead_to(self, gateway: Gateway) -> None:
        """The Service leads to the gateway, as if that were in a Pod: the API server leads nowhere else."""
        host, _, port = gateway.endpoint.removeprefix("http://").partition(":")
        self._create("Service", spec={"ports": [{"name": "gateway", "port": 8080}]})
        container = {"name": "operator", "image": "tuning-operator"}
        self._create("Pod", spec={"automountServiceAccountToken": False, "containers": [container]})
        status = {"status": {"phase": "Running", "podIP": host, "podIPs": [{"ip": host}]}}
        self.kubectl("patch", "pod", "tuning-operator", "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
        pod = {"kind": "Pod", "namespace": self.namespace, "name": "tuning-operator"}
        subset = {"addresses": [{"ip": host, "targetRef": pod}], "ports": [{"name": "gateway", "port": int(port)}]}
        self._create("Endpoints", subsets=[subset])

    def _create(self, kind: str, **fields: Any) -> None:
        document = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "tuning-operator"}, **fields}
        self.kubectl("create", "--filename=-", stdin=json.dumps(document))


@pytest.fixture
def operator(api_server: ApiServer, operator_namespace: str) -> Operator:
    return Operator(api_server, operator_namespace)


@pytest.fixture
def reached(operator: Operator, gateway: Gateway) -> Operator:
    """An operator that is installed and ready."""
    operator.lead_to(gateway)
    return operator


@dataclass
class Person:
    """Somebody with a token of their own, and the `tuning` command."""

    server: ApiServer
    namespace: str
    operator_namespace: str
    name: str
    kubeconfig: Path
    working_directory: Path

    def may(self, role: str, namespace: str, *rule: str) -> None:
        """Give a right, and return once it holds."""
        self.server.kubectl(f"--namespace={namespace}", "create", "role", role, *rule)
        who = f"--serviceaccount={self.namespace}:{self.name}"
        self.server.kubectl(f"--namespace={namespace}", "create", "rolebinding", f"{role}-{self.name}", f"--role={role}", who)

    def may_get_the_study(self) -> None:
        rule = ("--verb=get", "--resource=tuningstudies.tuningstudy.dev", f"--resource-name={NAME}")
        self.may("study-reader", self.namespace, *rule)
        self._until_allowed("get", f"tuningstudies.tuningstudy.dev/{NAME}", f"--namespace={self.namespace}")

    def may_reach_the_operator(self) -> None:
        rule = ("--verb=get", "--resource=services/proxy", "--resource-name=tuning-operator:gateway")
        self.may("tuning-gateway", self.operator_namespace, *rule)
        service = ("services/tuning-operator:gateway", "--subresource=proxy")
        self._until_allowed("get", *service, f"--namespace={self.operator_namespace}")

    def _until_allowed(self, *question: str) -> None:
        me = f"--as=system:serviceaccount:{self.namespace}:{self.name}"

        def allowed() -> bool:
            try:
                self.server.kubectl("auth", "can-i", *question, me)
            except KubectlError:
                return False
            return True

        until(allowed, seconds=PATIENCE, what=f"{self.name} may {' '.join(question)}")

    def token(self, *, audience: str | None = None, pod: str | None = None) -> str:
        aimed = [] if audience is None else [f"--audience={audience}"]
        bound = [] if pod is None else ["--bound-object-kind=Pod", f"--bound-object-name={pod}"]
        return self.server.kubectl(f"--namespace={self.namespace}", "create", "token", self.name, *aimed, *bound).strip()

    def log_in(self, user: dict[str, str]) -> None:
        """Write the kubeconfig."""
        plane = self.server.plane
        cluster = {"server": plane.url, "certificate-authority": str(plane.authority.own.certificate)}
        context = {"cluster": "test", "user": "test", "namespace": self.namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        self.kubeconfig.write_text(json.dumps(document))

    async def tuning(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        """Exit code, output and errors of the command, as this person."""
        process = await asyncio.create_subprocess_exec(
            _TUNING,
            *arguments,
            f"--operator-namespace={self.operator_namespace}",
            cwd=self.working_directory,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "NO_PROXY": "*", "COLUMNS": "200", **variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), " ".join(err.decode().split())


@pytest.fixture
def alice(api_server: ApiServer, namespace: str, operator_namespace: str, tmp_path: Path) -> Person:
    """Somebody without any right, logged in with a token for the API server."""
    api_server.kubectl(f"--namespace={namespace}", "create", "serviceaccount", "alice")
    person = Person(
        server=api_server,
        namespace=namespace,
        operator_namespace=operator_namespace,
        name="alice",
        kubeconfig=tmp_path / "alice.kubeconfig",
        working_directory=tmp_path,
    )
    person.log_in({"token": person.token()})
    return person
