"""The operator's metrics, as a real Prometheus has them."""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path

from tests.cluster.waiting import until
from tests.e2e.cluster.installation import PATIENCE, SYSTEM, Installation
from tests.e2e.cluster.prometheus import running_prometheus
from tests.e2e.cluster.studies import WAITING_SCRIPT, scripted


def test_prometheus_sees_a_study_run_and_its_series_end_with_it(operator: Installation, namespace: str, tmp_path: Path) -> None:
    with running_prometheus(tmp_path, monitoring_address(operator)) as prometheus:
        budget = {"maxTrials": 2, "parallelism": 2}
        operator.apply(namespace, scripted("digits", WAITING_SCRIPT, budget=budget, baseline={"repeats": 0}))
        pods = operator.wait_running(namespace, 2)
        here = f'{{namespace="{namespace}"}}'

        def sees(expression: str, *values: float) -> None:
            until(lambda: sorted(prometheus.query(expression).values()) == sorted(values), seconds=PATIENCE, what=expression)

        sees(f"tuning_trials_running{here}", 2)
        sees(f"tuning_study_trials_left{here}", 2)
        sees(f'tuning_studies{{namespace="{namespace}", phase="Running"}}', 1)
        for pod in pods:
            operator.let_go(namespace, pod)
        operator.wait(namespace, "digits", "Succeeded")
        sees(f'tuning_trials_total{{namespace="{namespace}", outcome="complete", role="search"}}', 2)
        sees(f'tuning_studies{{namespace="{namespace}", phase="Succeeded"}}', 1)
        sees(f"tuning_study_trials_left{here}")
        sees(f"tuning_study_best_objective{here}")
        assert prometheus.query(f'sum(tuning_gpu_seconds_total{{namespace="{namespace}", outcome="succeeded"}}) > 0')
        assert prometheus.query("tuning_ask_duration_seconds_count > 0")
        assert prometheus.query('sum(tuning_kubernetes_request_duration_seconds_count{resource="jobs", code="201"}) > 0')
        assert prometheus.query("sum(tuning_database_transaction_duration_seconds_count) > 0")
        assert not prometheus.query('ALERTS{alertstate="firing", severity="critical"}')


def test_promtool_finds_nothing_wrong_with_the_metrics(operator: Installation) -> None:
    with urllib.request.urlopen(f"http://{monitoring_address(operator)}/metrics", timeout=30) as answer:
        text = answer.read()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()


def monitoring_address(operator: Installation) -> str:
    """Host and port of the operator's metrics, as this machine, which is its node, reaches them."""
    pod = operator.get("pod", operator.operator_pod(), f"--namespace={SYSTEM}")
    return f"{pod['status']['podIP']}:8081"
