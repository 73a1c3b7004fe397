"""A certificate authority for one cluster, and its certificates; by the openssl command, valid for a month."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DAYS: Final = "30"
# Python 3.13 refuses an authority without these usages, and a certificate without the identifier of its authority.
_CONFIGURATION: Final = """
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates. Everything lies in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._configuration = folder / "openssl.cnf"
        self._configuration.write_text(_CONFIGURATION, encoding="utf-8")
        self.own = self._make("ca", "/CN=tuning-test-authority", "-extensions", "authority")

    def sign(self, user: str, *, groups: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> Certificate:
        """A certificate that Kubernetes reads as a user in groups, and that serves under names such as IP:127.0.0.1."""
        subject = "".join([*(f"/O={group}" for group in groups), f"/CN={user}"])
        alternatives = ["-addext", f"subjectAltName={','.join(names)}"] if names else []
        signer: list[str | Path] = ["-CA", self.own.certificate, "-CAkey", self.own.key]
        return self._make(user.replace(":", "-"), subject, "-extensions", "leaf", *signer, *alternatives)

    def _make(self, name: str, subject: str, *arguments: str | Path) -> Certificate:
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
        files: list[str | Path] = ["-config", self._configuration, "-keyout", made.key, "-out", made.certificate]
        command: list[str | Path] = ["openssl", "req", "-x509", *curve, *files, "-subj", subject, "-days", _DAYS, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"openssl cannot make {name}: {result.stderr.strip()}")
        return made
