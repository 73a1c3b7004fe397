"""The operator as a process of its own, so that killing it is real."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from tests.cluster.control_plane import free_ports
from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.processes import Programs
from tests.cluster.waiting import until
from tests.support.kubernetes import ApiServer

PATIENCE: Final = 60.0
_NAME: Final = "operator"
_COMMAND: Final = Path(sys.executable).with_name("tuning-operator")
_RIGHTS: Final = Path(__file__).parents[3] / "deploy" / "base"
_NOWHERE: Final = "http://127.0.0.1:9"
# Proxies are for the world outside of a cluster: were one asked, nothing would work.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class OperatorProcess:
    """A started one."""

    programs: Programs
    monitoring: str
    """URL of its monitoring port."""
    gateway: str
    """URL of its gateway."""

    def wait_ready(self) -> None:
        """Wait until it looks after studies."""
        self.programs.wait(_NAME, lambda: self.probe("readyz") == HTTPStatus.OK, seconds=PATIENCE)

    def kill(self) -> None:
        """SIGKILL."""
        self.programs.kill(_NAME)

    def ask_to_end(self) -> int:
        """SIGTERM. Returns the exit code."""
        return self.programs.ask_to_end(_NAME)

    def start_again(self) -> None:
        """Start it after its end, and wait until it is ready."""
        self.programs.start_again(_NAME)
        self.wait_ready()

    def probe(self, path: str) -> int | None:
        """The status of an answer of its monitoring port; None when nobody answers."""
        try:
            return self._get(path)[0]
        except OSError:
            return None

    def metric(self, name: str) -> float:
        """A figure of /metrics."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self._get("metrics")[1], re.MULTILINE)
        assert found is not None, f"there is a metric {name}"
        return float(found[1])

    def signs(self) -> dict[str, Any]:
        """What /healthz says."""
        signs: dict[str, Any] = json.loads(self._get("healthz")[1])
        return signs

    def _get(self, path: str) -> tuple[int, str]:
        try:
            with _OPENER.open(f"{self.monitoring}/{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@dataclass(frozen=True)
class Account:
    """A service account."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """As the API server knows it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


DEPLOYED: Final = Account("tuning-system", "tuning-operator")
"""The operator's own, with rights in all namespaces."""


def grant_rights(server: ApiServer) -> None:
    """Give the operator the rights that it has as it is deployed."""
    for manifest in ("namespace.yaml", "rbac.yaml"):
        server.kubectl("apply", f"--filename={_RIGHTS / manifest}")


@contextmanager
def running_operator(
    server: ApiServer, folder: Path, database_url: str, *options: str, account: Account = DEPLOYED, namespace: str = ""
) -> Iterator[OperatorProcess]:
    """A ready one, stopped at the end.

    Args:
        server: the API server.
        folder: for its files.
        database_url: of its database.
        options: of the command.
        account: by whose rights it works.
        namespace: the only one that it looks after; all when empty.
    """
    gateway, monitoring = free_ports(2)
    environment = {
        "HOME": str(folder),
        "KUBECONFIG": str(_kubeconfig(server, folder, account, namespace)),
        "HTTPS_PROXY": _NOWHERE,
        "HTTP_PROXY": _NOWHERE,
        "OMP_NUM_THREADS": "1",
        "TUNING_OPERATOR_DATABASE_URL": database_url,
        "TUNING_OPERATOR_GATEWAY_URL": f"http://127.0.0.1:{gateway}",
        "TUNING_OPERATOR_GATEWAY_PORT": str(gateway),
        "TUNING_OPERATOR_MONITORING_PORT": str(monitoring),
        "TUNING_OPERATOR_LOG_LEVEL": "info",
    }
    limited = [f"--namespace={namespace}"] if namespace else []
    programs = Programs(folder)
    try:
        programs.start(_NAME, [_COMMAND, "run", *limited, *options], environment=environment)
        operator = OperatorProcess(programs, f"http://127.0.0.1:{monitoring}", f"http://127.0.0.1:{gateway}")
        operator.wait_ready()
        yield operator
    finally:
        programs.stop()


def _kubeconfig(server: ApiServer, folder: Path, account: Account, namespace: str) -> Path:
    grant_rights(server)
    # The authorizer learns of roles by a watch.
    until(lambda: _may_list_jobs(server, account, namespace), seconds=PATIENCE, what="the roles are in force")
    token = server.kubectl("create", "token", account.name, f"--namespace={account.namespace}", "--duration=24h").strip()
    return write_kubeconfig(folder / "operator.kubeconfig", server.plane.url, server.plane.authority, token)


def _may_list_jobs(server: ApiServer, account: Account, namespace: str) -> bool:
    asked = {"verb": "list", "group": "batch", "resource": "jobs", "namespace": namespace}
    review = {"spec": {"resourceAttributes": asked, "user": account.user}}
    answer = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])
