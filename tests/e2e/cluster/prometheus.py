"""A real Prometheus on this machine that scrapes the operator, as a platform team's does."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.control_plane import LOOPBACK, free_ports
from tests.cluster.waiting import until

RULES: Final = Path(__file__).parents[3] / "deploy" / "monitoring" / "alerts.yaml"
_READY_WITHIN: Final = 60
_TIMEOUT: Final = 10


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    url: str

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The value of each series of an instant query, by its labels without those of the scrape."""
        question = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{question}", timeout=_TIMEOUT) as answer:
            found = json.load(answer)["data"]["result"]
        return {
            tuple(sorted((name, value) for name, value in series["metric"].items() if name not in ("job", "instance"))): float(
                series["value"][1]
            )
            for series in found
        }

    def healthy(self) -> bool:
        """Whether it scrapes the operator."""
        try:
            return list(self.query("up").values()) == [1.0]
        except (urllib.error.URLError, ConnectionError):
            return False


@contextmanager
def running_prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """A started one, which scrapes an address each second, with our alerting rules."""
    (port,) = free_ports(1)
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "tuning-operator", "static_configs": [{"targets": [target]}]}],
    }
    # JSON is YAML too.
    (folder / "prometheus.yaml").write_text(json.dumps(configuration), encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            running = Prometheus(f"http://{LOOPBACK}:{port}")
            until(running.healthy, seconds=_READY_WITHIN, what="Prometheus scrapes the operator")
            yield running
        finally:
            process.terminate()
