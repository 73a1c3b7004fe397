"""A Kubernetes API that runs no Pods: etcd, API server and controller manager on free ports of the loopback address.

It is the real thing up to the Job controller. Each caller has one of its own in a temporary folder, so any number may run.
"""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import Final

from tests.cluster.binaries import CONTROL_PLANE, binaries, etcd
from tests.cluster.certificates import Authority, Certificate
from tests.cluster.locks import exclusive
from tests.cluster.processes import Identity, Programs, end_all

_PREFIX: Final = "tuning-control-plane-"
_OWNER: Final = "owner.json"
_HOST: Final = "127.0.0.1"
_SERVICES: Final = "10.96.0.0/16"
_FIRST_SERVICE: Final = "10.96.0.1"
_READY_WITHIN: Final = 120.0
_REQUEST_WITHIN: Final = 5.0


class KubectlError(RuntimeError):
    """kubectl refused; the text is what it said."""


@dataclass(frozen=True)
class ControlPlane:
    """A running one, and its administrator's access."""

    url: str
    authority: Path
    """The certificate that signs the server's."""
    admin: Certificate
    kubeconfig: Path
    """The administrator's."""
    _kubectl: Path

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints.

        Raises:
            KubectlError: it failed.
        """
        command: list[str | Path] = [self._kubectl, "--kubeconfig", self.kubeconfig, *arguments]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if result.returncode:
            raise KubectlError(result.stderr.strip())
        return result.stdout


@contextmanager
def running_control_plane() -> Iterator[ControlPlane]:
    """A started one, stopped and removed at the end."""
    root = Path(tempfile.gettempdir())
    with exclusive(root / f"{_PREFIX}sweep.lock"):
        sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        owner = Identity.of(getpid())
        assert owner is not None, "this process runs"
        owner.write(folder / _OWNER)
    programs = Programs(folder)
    try:
        yield _start(folder, programs)
    finally:
        programs.stop()
        shutil.rmtree(folder)


def sweep(root: Path) -> None:
    """End and remove what killed runs left."""
    for file in root.glob(f"{_PREFIX}*/{_OWNER}"):
        if not Identity.read(file).alive:
            end_all(file.parent)
            shutil.rmtree(file.parent)


def _start(folder: Path, programs: Programs) -> ControlPlane:
    api_server, controller_manager, kubectl = binaries(*CONTROL_PLANE)
    etcd_port, peer_port, port = _free_ports(3)
    authority = Authority(folder)
    url, etcd_url = f"https://{_HOST}:{port}", f"http://{_HOST}:{etcd_port}"
    serving = authority.sign("kube-apiserver", names=(f"IP:{_HOST}", f"IP:{_FIRST_SERVICE}", "DNS:kubernetes.default.svc"))
    tokens = authority.sign("service-accounts")
    manager = authority.sign("system:kube-controller-manager")
    admin = authority.sign("kubernetes-admin", groups=("system:masters",))
    kubeconfig = _kubeconfig(folder / "admin.kubeconfig", url, authority, admin)
    plane = ControlPlane(url, authority.own.certificate, admin, kubeconfig, kubectl)

    programs.start("etcd", _etcd_command(folder / "etcd", etcd_url, f"http://{_HOST}:{peer_port}"))
    programs.wait("etcd", _answers(f"{etcd_url}/health"), seconds=_READY_WITHIN)
    programs.start("kube-apiserver", _api_server_command(api_server, port, etcd_url, authority, serving=serving, tokens=tokens))
    trusted = ssl.create_default_context(cafile=authority.own.certificate)
    trusted.load_cert_chain(admin.certificate, admin.key)
    programs.wait("kube-apiserver", _answers(f"{url}/readyz", trusted), seconds=_READY_WITHIN)
    access = _kubeconfig(folder / "manager.kubeconfig", url, authority, manager)
    programs.start("kube-controller-manager", _controller_manager_command(controller_manager, access, authority, tokens))
    # It makes this account once its caches are filled.
    account = f"{url}/api/v1/namespaces/default/serviceaccounts/default"
    programs.wait("kube-controller-manager", _answers(account, trusted), seconds=_READY_WITHIN)
    return plane


def _etcd_command(data: Path, url: str, peer_url: str) -> list[str | Path]:
    return [
        etcd(),
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",  # tests need no durability against power cuts
    ]


def _api_server_command(
    program: Path, port: int, etcd_url: str, authority: Authority, *, serving: Certificate, tokens: Certificate
) -> list[str | Path]:
    return [
        program,
        f"--etcd-servers={etcd_url}",
        f"--bind-address={_HOST}",
        f"--secure-port={port}",
        f"--advertise-address={_HOST}",
        "--endpoint-reconciler-type=none",  # it refuses a loopback address, which nobody looks up here
        f"--service-cluster-ip-range={_SERVICES}",
        f"--client-ca-file={authority.own.certificate}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={tokens.certificate}",
        f"--service-account-signing-key-file={tokens.key}",
    ]


def _controller_manager_command(program: Path, kubeconfig: Path, authority: Authority, tokens: Certificate) -> list[str | Path]:
    return [
        program,
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--root-ca-file={authority.own.certificate}",
        f"--service-account-private-key-file={tokens.key}",
        # The defaults slow down many Jobs at once.
        "--kube-api-qps=300",
        "--kube-api-burst=600",
    ]


def _kubeconfig(file: Path, url: str, authority: Authority, user: Certificate) -> Path:
    """JSON is YAML too."""
    cluster = {"server": url, "certificate-authority": str(authority.own.certificate)}
    access = {"client-certificate": str(user.certificate), "client-key": str(user.key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": access}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def _answers(url: str, trusted: ssl.SSLContext | None = None) -> Callable[[], bool]:
    # Without a proxy of the environment: this is the loopback address.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if trusted:
        handlers.append(urllib.request.HTTPSHandler(context=trusted))
    opener = urllib.request.build_opener(*handlers)

    def answers() -> bool:
        try:
            with opener.open(url, timeout=_REQUEST_WITHIN):
                return True
        except urllib.error.HTTPError as error:
            error.close()  # it is a response too
        except OSError:
            pass
        return False

    return answers


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens at; all are held until the last is found, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]
