"""The metrics of the operator's own work: what is counted and timed where it happens.

Names follow https://prometheus.io/docs/practices/naming/: base units, counters end in ``_total``. No label has values
that users choose, except ``namespace``. What is read off at each scrape instead stands in `studies`.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY: Final = CollectorRegistry()
"""Of this process, without the defaults of the library."""

_QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

TRIALS: Final = Counter(
    "tuning_trials_total",
    "Trials that have ended. `outcome`: complete, pruned, fail; `reason` is that of the trial's end.",
    ["namespace", "role", "outcome", "reason"],
    registry=REGISTRY,
)
DIAGNOSES: Final = Counter(
    "tuning_trial_diagnoses_total",
    "What ended trials say was wrong with their training. `diagnosis`: a name that the project's trainer gives, or other.",
    ["namespace", "diagnosis"],
    registry=REGISTRY,
)
ATTEMPTS: Final = Counter(
    "tuning_attempts_total",
    "Runs of a trial's container that have ended. `outcome`: succeeded, pruned, failed, infeasible, disrupted, configuration, "
    "stopped.",
    ["namespace", "role", "outcome"],
    registry=REGISTRY,
)
GPU_SECONDS: Final = Counter(
    "tuning_gpu_seconds_total",
    "GPU-seconds that ended attempts have held, by the attempt's outcome.",
    ["namespace", "outcome"],
    registry=REGISTRY,
)
ASK: Final = Histogram(
    "tuning_ask_duration_seconds",
    "How long the sampler took for the next parameters, waiting for its process included.",
    ["sampler"],
    buckets=_SLOW,
    registry=REGISTRY,
)
TELL: Final = Histogram(
    "tuning_tell_duration_seconds",
    "How long it took to record the end of an attempt, and of its trial.",
    buckets=_QUICK,
    registry=REGISTRY,
)
RECONCILE: Final = Histogram(
    "tuning_reconcile_duration_seconds",
    "How long one look at a study took, all its requests included.",
    buckets=_SLOW,
    registry=REGISTRY,
)
RECONCILE_FAILURES: Final = Counter(
    "tuning_reconcile_failures_total",
    "Looks at a study that could not be finished and are repeated. `kind`: unavailable (something outside is away or refuses), "
    "unexpected (a fault of the operator).",
    ["kind"],
    registry=REGISTRY,
)
DATABASE: Final = Histogram(
    "tuning_database_transaction_duration_seconds",
    "How long a transaction took, waiting for a connection included. `kind`: read, write.",
    ["kind"],
    buckets=_QUICK,
    registry=REGISTRY,
)
DATABASE_FAILURES: Final = Counter(
    "tuning_database_failures_total", "Transactions that the database did not answer.", ["kind"], registry=REGISTRY
)
KUBERNETES: Final = Histogram(
    "tuning_kubernetes_request_duration_seconds",
    "How long requests to the Kubernetes API took, watches excluded. `code` is 0 without an answer.",
    ["verb", "resource", "code"],
    buckets=_QUICK,
    registry=REGISTRY,
)
GATEWAY: Final = Histogram(
    "tuning_gateway_request_duration_seconds",
    "How long requests to the gateway took. `route` is the path's pattern, empty for paths that it does not have.",
    ["method", "route", "code"],
    buckets=_QUICK,
    registry=REGISTRY,
)
STATUS_WRITES: Final = Counter(
    "tuning_status_writes_total", "Statuses written. `result`: written, conflict, refused.", ["result"], registry=REGISTRY
)

ALL: Final = (
    TRIALS,
    DIAGNOSES,
    ATTEMPTS,
    GPU_SECONDS,
    ASK,
    TELL,
    RECONCILE,
    RECONCILE_FAILURES,
    DATABASE,
    DATABASE_FAILURES,
    KUBERNETES,
    GATEWAY,
    STATUS_WRITES,
)

# A counter that begins with its first event hides that event from `increase` and `rate`.
for _kind in ("unavailable", "unexpected"):
    RECONCILE_FAILURES.labels(_kind)
for _kind in ("read", "write", "other"):
    DATABASE_FAILURES.labels(_kind)
for _result in ("written", "conflict", "refused"):
    STATUS_WRITES.labels(_result)
