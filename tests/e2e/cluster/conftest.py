"""The cluster that these tests run on: this machine's, or the one of the kubeconfig in $TUNING_TEST_KUBECONFIG."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.cluster import Cluster, down, existing, is_up, up
from tests.e2e.cluster.installation import Installation


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Started if it is not up, and stopped again then. Its images are made from the sources as they are now."""
    if kubeconfig := os.environ.get("TUNING_TEST_KUBECONFIG"):
        yield existing(Path(kubeconfig))
        return
    was_up = is_up()
    try:
        yield up()
    finally:
        if not was_up:
            down()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """The name of one of its own, under Pod security `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-", "labels": labels}}
    created = json.loads(cluster.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(document)))
    name = created["metadata"]["name"]
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def operator(cluster: Cluster) -> Installation:
    """Installed as the README says."""
    return Installation.install(cluster.kubectl)
