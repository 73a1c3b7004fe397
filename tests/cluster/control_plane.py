"""A Kubernetes API that runs no Pods: etcd, API server and controller manager on free ports of the loopback address.

It is the real thing up to the Job controller. Each caller has one of its own in a temporary folder, so any number may run.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.binaries import CONTROL_PLANE, binaries, etcd
from tests.cluster.certificates import Authority, Certificate
from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.locks import exclusive
from tests.cluster.processes import Identity, Programs, end_all

# Every user has folders and a lock of their own.
PREFIX: Final = f"tuning-control-plane-{os.getuid()}-"
_OWNER: Final = "owner.json"
LOOPBACK: Final = "127.0.0.1"
_SERVICES: Final = "10.96.0.0/16"
_FIRST_SERVICE: Final = "10.96.0.1"
_SERVICE_NAMES: Final = tuple(f"DNS:kubernetes{rest}" for rest in ("", ".default", ".default.svc", ".default.svc.cluster.local"))
_READY_WITHIN: Final = 120.0
_REQUEST_WITHIN: Final = 5.0


class KubectlError(RuntimeError):
    """kubectl refused; the text is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl, as the user of a kubeconfig."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """What it prints.

        Raises:
            KubectlError: it failed.
        """
        command: list[str | Path] = [self.program, "--kubeconfig", self.kubeconfig, *arguments]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if result.returncode:
            raise KubectlError(result.stderr.strip())
        return result.stdout


@dataclass(frozen=True)
class ControlPlane:
    """A running one, and its administrator's access."""

    url: str
    authority: Authority
    admin: Certificate
    kubectl: Kubectl
    """The administrator's."""
    programs: Programs
    """etcd, kube-apiserver and kube-controller-manager."""
    etcd_url: str

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.kubectl.kubeconfig


@contextmanager
def running_control_plane(*, controllers: bool = True, api_server_options: Sequence[str] = ()) -> Iterator[ControlPlane]:
    """A started one, stopped and removed at the end.

    Args:
        controllers: with the controller manager; without it, Jobs have no Pods and nothing is deleted with its owner.
        api_server_options: more arguments for kube-apiserver.
    """
    root = Path(tempfile.gettempdir())
    with exclusive(root / f"{PREFIX}sweep.lock"):
        sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        owner = Identity.of(os.getpid())
        assert owner is not None, "this process runs"
        owner.write(folder / _OWNER)
    programs = Programs(folder)
    try:
        yield start_control_plane(folder, programs, controllers=controllers, api_server_options=api_server_options)
    finally:
        programs.stop()
        shutil.rmtree(folder)


def sweep(root: Path) -> None:
    """End and remove what killed runs left."""
    for file in root.glob(f"{PREFIX}*/{_OWNER}"):
        if not Identity.read(file).alive:
            end_all(file.parent)
            shutil.rmtree(file.parent)


def start_control_plane(
    folder: Path,
    programs: Programs,
    *,
    host: str = LOOPBACK,
    controllers: bool = True,
    api_server_options: Sequence[str] = (),
) -> ControlPlane:
    """Start the programs, which serve at an address of this machine, and return once they are ready.

    Raises:
        ProgramError: one of them ended, or is not ready in time.
    """
    api_server, controller_manager, kubectl = binaries(*CONTROL_PLANE)
    etcd_port, peer_port = free_ports(2)
    (port,) = free_ports(1, host=host)
    authority = Authority(folder)
    url, etcd_url = f"https://{host}:{port}", f"http://{LOOPBACK}:{etcd_port}"
    serving = authority.sign("kube-apiserver", names=(f"IP:{host}", f"IP:{_FIRST_SERVICE}", *_SERVICE_NAMES))
    tokens = authority.sign("service-accounts")
    manager = authority.sign("system:kube-controller-manager")
    admin = authority.sign("kubernetes-admin", groups=("system:masters",))
    kubeconfig = write_kubeconfig(folder / "admin.kubeconfig", url, authority, admin)
    plane = ControlPlane(url, authority, admin, Kubectl(kubectl, kubeconfig), programs, etcd_url)

    programs.start("etcd", _etcd_command(folder / "etcd", etcd_url, f"http://{LOOPBACK}:{peer_port}"))
    programs.wait("etcd", _answers(f"{etcd_url}/health"), seconds=_READY_WITHIN)
    command = _api_server_command(api_server, url, etcd_url, authority, serving=serving, tokens=tokens)
    programs.start("kube-apiserver", [*command, *api_server_options])
    trusted = ssl.create_default_context(cafile=authority.own.certificate)
    trusted.load_cert_chain(admin.certificate, admin.key)
    programs.wait("kube-apiserver", _answers(f"{url}/readyz", trusted), seconds=_READY_WITHIN)
    if not controllers:
        return plane
    access = write_kubeconfig(folder / "manager.kubeconfig", url, authority, manager)
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
    program: Path, url: str, etcd_url: str, authority: Authority, *, serving: Certificate, tokens: Certificate
) -> list[str | Path]:
    host, port = url.removeprefix("https://").split(":")
    to_nodes = authority.sign("kube-apiserver-kubelet-client", groups=("system:masters",))
    return [
        program,
        f"--etcd-servers={etcd_url}",
        f"--bind-address={host}",
        f"--secure-port={port}",
        f"--advertise-address={host}",
        # The Service `kubernetes` cannot lead to a loopback address, and without Pods nobody looks it up.
        *(["--endpoint-reconciler-type=none"] if host == LOOPBACK else []),
        f"--service-cluster-ip-range={_SERVICES}",
        f"--client-ca-file={authority.own.certificate}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        "--kubelet-preferred-address-types=InternalIP",  # a node's name is in no DNS
        f"--kubelet-certificate-authority={authority.own.certificate}",
        f"--kubelet-client-certificate={to_nodes.certificate}",
        f"--kubelet-client-key={to_nodes.key}",
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


def free_ports(count: int, *, host: str = LOOPBACK) -> list[int]:
    """Ports of an address that nobody listens at; all are held until the last is found, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((host, 0))
        return [int(each.getsockname()[1]) for each in sockets]
