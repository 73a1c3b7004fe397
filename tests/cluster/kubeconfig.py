"""Files by which programs find the API server and show who they are."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.certificates import Authority, Certificate


def write_kubeconfig(file: Path, url: str, authority: Authority, user: Certificate | str) -> Path:
    """Write one, as JSON, which is YAML too. The user shows a certificate or a token."""
    cluster = {"server": url, "certificate-authority": str(authority.own.certificate)}
    access = {"token": user} if isinstance(user, str) else _by_certificate(user)
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


def _by_certificate(user: Certificate) -> dict[str, str]:
    return {"client-certificate": str(user.certificate), "client-key": str(user.key)}
