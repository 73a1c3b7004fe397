"""A node that runs real Pods: containerd and kubelet, with the scheduler, Service addresses and DNS that Pods need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.cluster.addresses import BRIDGE, CONTAINERD, DOMAIN, HOST, NODE, PAUSE_IMAGE, PODS, RUNTIME, STATE, SYSTEM_PATH
from tests.cluster.binaries import NODE as NODE_PROGRAMS
from tests.cluster.binaries import binaries
from tests.cluster.commands import run
from tests.cluster.containerd import Containerd
from tests.cluster.control_plane import LOOPBACK, ControlPlane, KubectlError, free_ports
from tests.cluster.images import fill_store
from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.pause_image import write_pause_image
from tests.cluster.processes import Programs

_READY_WITHIN: Final = 120.0
_CNI_PROGRAMS: Final = Path("/usr/lib/cni")
# restrict_oom_score_adj: else runc fails where the caller may not lower its score ("can't get final child's PID").
_CONTAINERD: Final = """
version = 2
root = "{state}/containerd"
state = "{runtime}/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{programs}"
conf_dir = "{state}/cni"
[plugins."io.containerd.internal.v1.opt"]
path = "{state}/containerd/opt"
"""
_DNS: Final = """
.:53 {{
    bind {host}
    errors
    kubernetes {domain} {{
        kubeconfig {kubeconfig}
    }}
}}
"""


def bring_up_bridge() -> None:
    """The network's bridge with its address, before anything binds to it."""
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{HOST}/{PODS.split('/')[1]}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def start_node(folder: Path, programs: Programs, plane: ControlPlane, *, gpus: int) -> None:
    """Start the programs and return once the node is ready and has its GPUs, which are numbers only.

    Raises:
        ProgramError: one of them ended, or is not ready in time.
    """
    scheduler, kubelet, proxy, dns, pause = binaries(*NODE_PROGRAMS)
    scheduling = _access(folder, plane, "system:kube-scheduler")
    programs.start("kube-scheduler", [scheduler, f"--kubeconfig={scheduling}", "--secure-port=0", "--leader-elect=false"])
    fill_store(STATE / "containerd")
    programs.start("containerd", _containerd_command(folder))
    containerd = Containerd(CONTAINERD)
    programs.wait("containerd", lambda: containerd.answers, seconds=_READY_WITHIN)
    write_pause_image(folder / "pause.tar", pause, PAUSE_IMAGE)
    containerd.import_archive(folder / "pause.tar")
    programs.start("kubelet", _kubelet_command(kubelet, folder, plane))
    programs.start("kube-proxy", _proxy_command(proxy, folder, plane))
    programs.start("coredns", _dns_command(dns, folder, plane))
    programs.wait("kubelet", lambda: _ready(plane), seconds=_READY_WITHIN)
    _add_gpus(plane, gpus)


def _containerd_command(folder: Path) -> list[str | Path]:
    (STATE / "cni").mkdir(parents=True)
    # portmap is left out: nobody asks for host ports, and it would write iptables chains of its own.
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True}
    addresses = {"type": "host-local", "dataDir": str(RUNTIME / "addresses"), "ranges": [[{"subnet": PODS}]]}
    bridge["ipam"] = addresses | {"routes": [{"dst": "0.0.0.0/0"}]}
    network = {"cniVersion": "0.4.0", "name": "tuning", "plugins": [bridge]}
    (STATE / "cni" / "tuning.conflist").write_text(json.dumps(network), encoding="utf-8")
    configuration = folder / "containerd.toml"
    values = {"state": STATE, "runtime": RUNTIME, "socket": CONTAINERD, "pause": PAUSE_IMAGE, "programs": _CNI_PROGRAMS}
    configuration.write_text(_CONTAINERD.format(**values), encoding="utf-8")
    # It looks for runc on the PATH, and Debian's lies where only root looks.
    return ["env", f"PATH={SYSTEM_PATH}", "containerd", "--config", configuration]


def _kubelet_command(program: Path, folder: Path, plane: ControlPlane) -> list[str | Path]:
    serving = plane.authority.sign("kubelet-server", names=(f"IP:{HOST}", f"DNS:{NODE}"))
    (port,) = free_ports(1, host=HOST)
    configuration: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": HOST,
        "port": port,
        "healthzPort": 0,
        "authentication": {"x509": {"clientCAFile": str(plane.authority.own.certificate)}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [HOST],
        "clusterDomain": DOMAIN,
        "podLogsDir": str(STATE / "pod-logs"),
        "makeIPTablesUtilChains": False,  # kube-proxy's are enough, and it removes its own
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # nobody could pull a removed image again
        "imageMaximumGCAge": "0s",
    }
    access = _access(folder, plane, f"system:node:{NODE}", groups=("system:nodes",))
    written = _write(folder / "kubelet.json", configuration)
    where = [f"--root-dir={STATE}/kubelet", f"--hostname-override={NODE}", f"--node-ip={HOST}"]
    return ["env", f"PATH={SYSTEM_PATH}", program, f"--config={written}", f"--kubeconfig={access}", *where]


def _proxy_command(program: Path, folder: Path, plane: ControlPlane) -> list[str | Path]:
    health, metrics = free_ports(2)
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(_access(folder, plane, "system:kube-proxy"))},
        "hostnameOverride": NODE,
        "mode": "iptables",
        # masqueradeAll: else the answer of one Pod to another takes the short way over the bridge, and is not known there.
        # localhostNodePorts would let the whole machine route loopback addresses.
        "iptables": {"masqueradeAll": True, "localhostNodePorts": False},
        "conntrack": {"maxPerCore": 0},
        "healthzBindAddress": f"{LOOPBACK}:{health}",
        "metricsBindAddress": f"{LOOPBACK}:{metrics}",
    }
    return ["env", f"PATH={SYSTEM_PATH}", program, f"--config={_write(folder / 'kube-proxy.json', configuration)}"]


def _dns_command(program: Path, folder: Path, plane: ControlPlane) -> list[str | Path]:
    configuration = folder / "Corefile"
    configuration.write_text(_DNS.format(host=HOST, domain=DOMAIN, kubeconfig=plane.kubeconfig), encoding="utf-8")
    return [program, "-conf", configuration]


def _ready(plane: ControlPlane) -> bool:
    condition = '{.status.conditions[?(@.type=="Ready")].status}'
    try:
        return plane.kubectl("get", "node", NODE, f"--output=jsonpath={condition}") == "True"
    except KubectlError:
        return False


def _add_gpus(plane: ControlPlane, gpus: int) -> None:
    """The scheduler counts what a node says it has."""
    amount = {"nvidia.com/gpu": str(gpus)}
    patch = {"status": {"capacity": amount, "allocatable": amount}}
    plane.kubectl("patch", "node", NODE, "--subresource=status", f"--patch={json.dumps(patch)}")


def _access(folder: Path, plane: ControlPlane, user: str, *, groups: tuple[str, ...] = ()) -> Path:
    file = folder / f"{user.replace(':', '-')}.kubeconfig"
    return write_kubeconfig(file, plane.url, plane.authority, plane.authority.sign(user, groups=groups))


def _write(file: Path, configuration: dict[str, Any]) -> Path:
    file.write_text(json.dumps(configuration), encoding="utf-8")
    return file
