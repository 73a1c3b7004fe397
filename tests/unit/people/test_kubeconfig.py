"""Which cluster a command finds, and with whose credentials."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tuning_operator.cli.cluster import Cluster, ClusterError

SERVER = "https://192.0.2.7:6443"
CREDENTIAL = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "kind": "ExecCredential",
    "status": {"token": "of-a-plugin"},
}
EXEC = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "interactiveMode": "Never",
    "command": sys.executable,
    "args": ["-c", f"print({json.dumps(CREDENTIAL)!r})"],
}


def kubeconfig(folder: Path, user: dict[str, Any], **changes: Any) -> Path:
    """Two contexts, of which the second is the current one."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": SERVER}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [
            {"name": "plain", "context": {"cluster": "lab", "user": "me"}},
            {"name": "research", "context": {"cluster": "lab", "user": "me", "namespace": "vision"}},
        ],
        "current-context": "research",
        **changes,
    }
    path = folder / "config"
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))
    return path


@pytest.mark.parametrize(
    ("user", "token"),
    [
        pytest.param({"token": "static"}, "static", id="a static token"),
        pytest.param({"exec": EXEC}, "of-a-plugin", id="a login plugin's token"),
        pytest.param({"username": "me", "password": "secret"}, None, id="a password: it is never sent to the gateway"),
        pytest.param({}, None, id="nothing, or a certificate"),
    ],
)
def test_the_token_is_the_kubeconfig_s(tmp_path: Path, user: dict[str, Any], token: str | None) -> None:
    assert Cluster.connect(kubeconfig=kubeconfig(tmp_path, user), context=None).token == token


def test_a_token_in_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("in-a-file")
    config = kubeconfig(tmp_path, {"tokenFile": str(tmp_path / "token")})
    assert Cluster.connect(kubeconfig=config, context=None).token == "in-a-file"


@pytest.mark.parametrize(
    ("context", "current", "namespace"),
    [
        pytest.param(None, "research", "vision", id="the current context's"),
        pytest.param("plain", "research", "default", id="a context without one"),
        pytest.param("research", "plain", "vision", id="another context's"),
        pytest.param("research", None, "default", id="no context is the current one"),
    ],
)
def test_the_namespace_is_the_context_s(tmp_path: Path, context: str | None, current: str | None, namespace: str) -> None:
    config = kubeconfig(tmp_path, {}, **{"current-context": current})
    assert Cluster.connect(kubeconfig=config, context=context).namespace == namespace


def refusal(path: Path, context: str | None = None) -> str:
    with pytest.raises(ClusterError) as refused:
        Cluster.connect(kubeconfig=path, context=context)
    return str(refused.value)


REMEDY = "; set KUBECONFIG, or pass --kubeconfig and --context"


def test_an_unusable_kubeconfig_is_told_with_the_remedy(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, {})
    assert "No configuration found." in refusal(tmp_path / "none")
    assert "Expected object with name nowhere" in refusal(config, "nowhere")
    assert "Expected key current-context" in refusal(kubeconfig(tmp_path, {}, **{"current-context": None}))
    config.write_text("{")
    assert refusal(config).startswith("the kubeconfig cannot be used: ")
    config.write_text("just words")
    assert refusal(config).endswith(REMEDY)
    assert refusal(tmp_path).endswith(REMEDY)
    config.write_bytes(b"\xff\xfe\x00")
    assert refusal(config).endswith(REMEDY)
