"""A real API server with its audit log, a real PostgreSQL, and who works on them: started once for many runs."""

from __future__ import annotations

import json
import re
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from bench.orchestration.audit import AuditLog
from bench.orchestration.simulated_kubelet import USER
from bench.orchestration.usage import Usage, children
from tests.cluster.kubeconfig import write_kubeconfig
from tests.support.kubernetes import ApiServer, running_api_server
from tests.support.postgres import PostgresServer, running_postgres

FLOOR_USER: Final = "system:serviceaccount:default:floor"

_ETCD_BYTES: Final = re.compile(r"^etcd_network_client_grpc_received_bytes_total (\S+)$", re.MULTILINE)
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Stand:
    """Everything that a run needs but the operator."""

    server: ApiServer
    postgres: PostgresServer
    audit: AuditLog
    folder: Path
    simulated: Path
    """Kubeconfig of the simulated kubelet."""
    floor: Path
    """Kubeconfig of the bare client: a service account like the operator's, and queued like it."""
    numbers: Iterator[int]

    def create_namespace(self) -> str:
        """An empty one in which Pods may be made."""
        name = f"bench-{next(self.numbers)}"
        self.server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        if not self.with_controllers:
            # What a controller would do.
            self.server.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
        return name

    @property
    def with_controllers(self) -> bool:
        """Whether the real Job controller runs."""
        return self.server.plane.programs.runs("kube-controller-manager")

    def clear(self, namespace: str) -> None:
        """Remove the objects of a run, so that the next one finds the API server as this one did."""
        base = f"namespaces/{namespace}"
        for path in (f"/apis/tuningstudy.dev/v1alpha1/{base}/tuningstudies", f"/apis/batch/v1/{base}/jobs"):
            self.server.request("DELETE", path, {"propagationPolicy": "Background"})
        self.server.request("DELETE", f"/api/v1/{base}/pods", {"gracePeriodSeconds": 0})

    def etcd_bytes(self) -> float:
        """What the API server has sent to etcd so far."""
        with _DIRECT.open(f"{self.server.plane.etcd_url}/metrics", timeout=10) as answer:
            found = _ETCD_BYTES.search(answer.read().decode())
        assert found is not None, "etcd counts what it receives"
        return float(found[1])

    def usage(self) -> dict[str, Usage]:
        """Of the servers."""
        programs, postmaster = self.server.plane.programs, self.postgres.pid
        return {
            "postgres": Usage.together([postmaster, *children(postmaster)]),
            "api server": Usage.of(programs.pid("kube-apiserver")),
            "etcd": Usage.of(programs.pid("etcd")),
        }


@contextmanager
def running_stand(*, controllers: bool) -> Iterator[Stand]:
    """A started one, stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tuning-bench-") as name, running_postgres() as postgres:
        folder = Path(name)
        audit = AuditLog(folder)
        with running_api_server(controllers=controllers, api_server_options=audit.options) as server:
            plane = server.plane
            node = plane.authority.sign(USER, groups=("system:masters",))
            simulated = write_kubeconfig(folder / "simulated.kubeconfig", plane.url, plane.authority, node)
            token = _floor_token(server)
            floor = write_kubeconfig(folder / "floor.kubeconfig", plane.url, plane.authority, token)
            yield Stand(server, postgres, audit, folder, simulated, floor, count())


def _floor_token(server: ApiServer) -> str:
    account: dict[str, Any] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "floor"}}
    server.kubectl("create", "--namespace=default", "--filename=-", stdin=json.dumps(account))
    server.kubectl("create", "clusterrolebinding", "floor", "--clusterrole=cluster-admin", "--serviceaccount=default:floor")
    return server.kubectl("create", "token", "floor", "--namespace=default", "--duration=24h").strip()
