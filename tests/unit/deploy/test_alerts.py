"""The alerting rules, as promtool understands them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

from tuning_operator.telemetry.reference import render

MONITORING: Final = Path(__file__).parents[3] / "deploy" / "monitoring"


def promtool(*arguments: str) -> None:
    """Run it; it fails with what it says."""
    done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_rules() -> None:
    promtool("check", "rules", "alerts.yaml")


def test_the_rules_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yaml")


def test_every_metric_of_a_rule_exists() -> None:
    known = set(re.findall(r"^\| `(tuning_\w+)`", render(), re.MULTILINE))
    used = set(re.findall(r"\btuning_\w+", (MONITORING / "alerts.yaml").read_text(encoding="utf-8")))
    assert used <= known
