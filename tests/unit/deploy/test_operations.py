"""docs/operations.md says what is true of the code and of the manifests."""

from __future__ import annotations

import inspect
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML
from tests.unit.deploy.overlays import DEPLOY, OVERLAYS, Document, build, overlay

from tuning_operator.controller import cluster_studies, cluster_study, study
from tuning_operator.main import group
from tuning_operator.runtime.kubernetes import causes
from tuning_operator.runtime.kubernetes.names import TOKEN_AUDIENCE
from tuning_operator.telemetry.reference import render

TEXT: Final = (DEPLOY.parent / "docs" / "operations.md").read_text(encoding="utf-8")
STALLED: Final = "## When a study does not go on"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def rows(after: str) -> Iterator[list[str]]:
    """The cells of the first table after a line."""
    table = re.search(r"^\|.*?(?=\n\n|\Z)", TEXT.partition(after)[2], re.DOTALL | re.MULTILINE)
    assert table is not None, after
    for line in table[0].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def code_of(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def reasons() -> set[str]:
    """Of every cause that a study may state, as the code writes them."""
    sentences = (*causes._REFUSALS, *causes._CONFIGURATION, *causes._UNSCHEDULABLE)
    modules = (causes, cluster_study, cluster_studies, study)
    written = (re.findall(r'reason="([A-Z]\w+)"', inspect.getsource(module)) for module in modules)
    return {sentence.reason for sentence in sentences}.union(*written, {causes._REFUSED})


def test_every_cause_of_a_stalled_study_has_a_remedy() -> None:
    documented = {reason for cells in rows(STALLED) for reason in code_of(cells[0])}
    # Besides causes, a trial's own end and the study's own failure stall it.
    assert documented - {"ConfigurationError", "CommandNotStarted", "NodeRejected", "StudyFailed"} == reasons()


def test_every_setting_is_there() -> None:
    command = group.commands["run"]
    documented = {variable for cells in rows("### Settings") for variable in code_of(cells[0])}
    assert documented == {str(option.envvar) for option in command.params if getattr(option, "envvar", None)}


def test_every_metric_is_there() -> None:
    served = set(re.findall(r"^\| `(tuning_\w+)`", render(), re.MULTILINE))
    documented = {name for cells in rows("| `/metrics` |") for name in code_of(cells[0])}
    assert documented <= served
    assert {name for name in served if name.startswith("tuning_operator_")} <= documented


def test_every_overlay_is_there() -> None:
    assert {name for cells in rows("## Install") for name in code_of(cells[0])} == set(OVERLAYS)


@pytest.mark.parametrize("role", ["tuning-operator", "tuning-operator-cluster"])
def test_every_permission_has_its_reason(role: str) -> None:
    granted = {
        (verb, resource)
        for rule in overlay("postgres").one("ClusterRole", role)["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    documented = {
        (verb, "namespaces" if resource.startswith("the namespace") else resource)
        for cells in rows(f"ClusterRole `{role}`")
        for verb in cells[0].split(", ")
        for resource in re.split(r", (?!nothing)", cells[1])
    }
    assert documented == granted


def test_the_audience_of_a_persons_token_is_the_gateways() -> None:
    assert f"--audience={TOKEN_AUDIENCE})" in TEXT


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target.removeprefix("#") in headings if target.startswith("#") else (DEPLOY.parent / "docs" / target).exists()


def test_the_kustomization_of_ones_own_builds(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("yaml") if "kind: Kustomization" in block]
    kustomization: Document = YAML(typ="safe").load(text)
    (resource,) = kustomization["resources"]
    kustomization["resources"] = [os.path.relpath(DEPLOY.parent / resource.partition("tuning-operator/")[2], tmp_path)]
    with (tmp_path / "kustomization.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(kustomization, file)
    built = build(tmp_path)
    assert built.operator["image"].startswith("registry.example/tuning-operator:")
    assert {"TUNING_OPERATOR_MAX_RUNNING_TRIALS", "TUNING_OPERATOR_DATABASE_URL"} <= set(built.environment)


def test_the_pod_that_restores_a_file_has_the_operators_volume_and_group() -> None:
    (text,) = [block for block in blocks("yaml") if "kind: Pod" in block]
    pod: Document = YAML(typ="safe").load(text)
    theirs: Any = overlay("sqlite").templates[0]["spec"]
    assert pod["spec"]["volumes"] == [volume for volume in theirs["volumes"] if volume["name"] == "database"]
    assert pod["spec"]["securityContext"]["fsGroup"] == theirs["securityContext"]["fsGroup"]
    assert pod["spec"]["containers"][0]["image"] == theirs["containers"][0]["image"]


def test_a_file_is_backed_up_while_it_is_written(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("sh") if "import sqlite3" in block]
    program = re.search(r"python -c '\n(.*?)'\n", text, re.DOTALL)
    assert program is not None
    source, copy = tmp_path / "source.db", tmp_path / "copy.db"
    script = program[1].replace("/var/lib/tuning-operator/studies.db", str(source)).replace("/tmp/studies.db", str(copy))
    with sqlite3.connect(source) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE trials (number INTEGER)")
        writer.execute("INSERT INTO trials VALUES (7)")
        writer.commit()
        subprocess.run([sys.executable, "-c", script], check=True)
    writer.close()
    assert list(tmp_path.glob("copy.db*")) == [copy], "one file holds it all"
    reader = sqlite3.connect(copy)
    assert reader.execute("SELECT number FROM trials").fetchall() == [(7,)]
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()
