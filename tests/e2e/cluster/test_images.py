"""The images in real Pods: as a user that they have never heard of, and with nothing to write to but /tmp."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import KubectlError
from tests.cluster.images import OPERATOR, POSTGRES, TRAINER
from tests.cluster.waiting import until

Document = dict[str, Any]

_STRANGER: Final = 12345
_PATIENCE: Final = 120
_CHECK: Final = ["python", "/opt/image/check.py", "after"]


def _pod(container: Document, *, volumes: dict[str, Document] | None = None, uid: int | None = _STRANGER) -> Document:
    """A Pod of one container; volumes by the path where they are mounted."""
    mounts: dict[str, Document] = {"/tmp": {"emptyDir": {}}} | (volumes or {})
    security = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    user = {} if uid is None else {"runAsUser": uid, "runAsGroup": uid, "fsGroup": uid}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "it"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}} | user,
            "containers": [
                {
                    "name": "it",
                    "securityContext": security,
                    "volumeMounts": [{"name": f"v{number}", "mountPath": path} for number, path in enumerate(mounts)],
                }
                | container
            ],
            "volumes": [{"name": f"v{number}"} | volume for number, volume in enumerate(mounts.values())],
        },
    }


def _create(cluster: Cluster, namespace: str, document: Document) -> None:
    cluster.kubectl("create", "--filename=-", f"--namespace={namespace}", stdin=json.dumps(document))


def _container(cluster: Cluster, namespace: str) -> Document:
    pod = json.loads(cluster.kubectl("get", "pod", "it", f"--namespace={namespace}", "--output=json"))
    (status,) = pod["status"].get("containerStatuses") or [{"state": {}}]
    return dict(status)


def _end(cluster: Cluster, namespace: str, document: Document) -> tuple[Document, str]:
    """How the Pod's container ended, and what it printed."""
    _create(cluster, namespace, document)
    until(lambda: "terminated" in _container(cluster, namespace)["state"], seconds=_PATIENCE, what="the Pod ends")
    printed = cluster.kubectl("logs", "it", f"--namespace={namespace}")
    return _container(cluster, namespace)["state"]["terminated"], printed


def test_a_training_by_a_stranger_on_a_read_only_disk_leaves_its_result(cluster: Cluster, namespace: str) -> None:
    environment = {"TUNING_STUDY": "here/digits", "TUNING_TRIAL": "0", "TUNING_PARAMETERS": '{"learning_rate": 0.01}'}
    environment |= {"TUNING_SEED": "1", "TUNING_RESULT_FILE": "/dev/termination-log"}
    environment |= {"TUNING_METRIC": "val_accuracy"}
    variables = [{"name": name, "value": value} for name, value in environment.items()]

    end, printed = _end(cluster, namespace, _pod({"image": TRAINER, "args": ["--epochs=3"], "env": variables}))

    assert end["exitCode"] == 0, printed
    assert json.loads(end["message"])["val_accuracy"] > 0.8


WRITING: Final = {
    "event files and checkpoints": (["--epochs=2", "--tensorboard=on", "--checkpoint-seconds=0"], {}),
    "the curve of a range test": (["--dataset=wine"], {"TUNING_ROLE": "lr-range"}),
    "a model and its scores": (["--dataset=wine"], {"TUNING_ROLE": "final", "TUNING_FINAL_EPOCHS": "2"}),
}


@pytest.mark.parametrize(("arguments", "environment"), WRITING.values(), ids=WRITING)
def test_what_a_training_leaves_beside_its_result_needs_no_other_folder_than_its_own(
    arguments: list[str], environment: dict[str, str], cluster: Cluster, namespace: str
) -> None:
    environment = environment | {"TUNING_STUDY": "here/study", "TUNING_TRIAL": "0", "TUNING_METRIC": "val_loss"}
    environment |= {"TUNING_OUTPUT_DIR": "/output", "TUNING_CHECKPOINT_DIR": "/checkpoints"}
    environment |= {"TUNING_RESULT_FILE": "/dev/termination-log"}
    variables = [{"name": name, "value": value} for name, value in environment.items()]
    volumes: dict[str, Document] = {"/output": {"emptyDir": {}}, "/checkpoints": {"emptyDir": {}}}

    end, printed = _end(cluster, namespace, _pod({"image": TRAINER, "args": arguments, "env": variables}, volumes=volumes))

    assert end["exitCode"] == 0, printed
    assert "cannot be written" not in printed


def test_the_operator_makes_its_database_as_a_stranger(cluster: Cluster, namespace: str) -> None:
    command = {"image": OPERATOR, "args": ["migrate", "--database-url=sqlite:////tmp/studies.db"]}
    end, printed = _end(cluster, namespace, _pod(command))
    assert end["exitCode"] == 0, printed


def test_the_operator_s_sampler_is_there_with_its_torch_and_scipy(cluster: Cluster, namespace: str) -> None:
    script = (
        "import optuna, warnings; warnings.simplefilter('ignore');"
        "study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=1, n_startup_trials=2));"
        "study.optimize(lambda trial: trial.suggest_float('x', -1, 1) ** 2, n_trials=4);"
        "print(len(study.trials))"
    )
    end, printed = _end(cluster, namespace, _pod({"image": OPERATOR, "command": ["python", "-c", script]}))
    assert end["exitCode"] == 0, printed
    assert printed.splitlines()[-1] == "4"


@pytest.mark.parametrize("image", [OPERATOR, TRAINER])
def test_an_image_runs_as_nobody_in_particular_when_nobody_says_as_whom(cluster: Cluster, namespace: str, image: str) -> None:
    script = "import getpass, os; print(os.getuid(), getpass.getuser(), os.path.expanduser('~'))"
    end, printed = _end(cluster, namespace, _pod({"image": image, "command": ["python", "-c", script]}, uid=None))
    assert end["exitCode"] == 0, printed
    assert printed == "65532 tuning /tmp\n"


@pytest.mark.parametrize(("image", "extra"), [(OPERATOR, "operator"), (TRAINER, "trainer")])
def test_an_image_has_packages_that_fit_together(cluster: Cluster, namespace: str, image: str, extra: str) -> None:
    end, printed = _end(cluster, namespace, _pod({"image": image, "command": [*_CHECK, extra]}))
    assert end["exitCode"] == 0, printed


def test_the_build_s_check_names_what_is_missing(cluster: Cluster, namespace: str) -> None:
    end, printed = _end(cluster, namespace, _pod({"image": TRAINER, "command": [*_CHECK, "operator"]}))
    assert end["exitCode"] == 1
    assert "tuning-operator[operator] requires kopf" in printed


def test_modules_were_compiled_in_the_build(cluster: Cluster, namespace: str) -> None:
    script = "import importlib.util as u, os, sys; print([n for n in sys.argv[1:] if not os.path.exists(u.find_spec(n).cached)])"
    modules = ["tuning_operator.api.crd", "tuning_client", "optuna", "torch", "json"]
    _, printed = _end(cluster, namespace, _pod({"image": OPERATOR, "command": ["python", "-c", script, *modules]}))
    assert printed == "[]\n"


def test_postgres_keeps_a_database_on_a_claimed_volume_behind_a_password(cluster: Cluster, namespace: str) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "data"}
    _create(cluster, namespace, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim})
    settings = {"POSTGRES_USER": "tuning", "POSTGRES_DB": "studies", "POSTGRES_PASSWORD": "secret"}
    settings |= {"PGDATA": "/var/lib/postgresql/data/pgdata"}
    volumes: dict[str, Document] = {"/var/run/postgresql": {"emptyDir": {}}}
    volumes |= {"/var/lib/postgresql/data": {"persistentVolumeClaim": {"claimName": "data"}}}
    # With a user: else it looks up the name of its own uid, which has none.
    ready = {"exec": {"command": ["pg_isready", "--host=127.0.0.1", "--username=tuning"]}, "periodSeconds": 1}
    environment = [{"name": name, "value": value} for name, value in settings.items()]
    _create(cluster, namespace, _pod({"image": POSTGRES, "env": environment, "readinessProbe": ready}, volumes=volumes))
    cluster.kubectl("wait", "pod/it", "--for=condition=Ready", f"--namespace={namespace}", f"--timeout={_PATIENCE}s")

    def asked(password: str) -> str:
        query = ["psql", "--host=it", "--username=tuning", "--dbname=studies", "--no-align", "--tuples-only"]
        command = ["env", f"PGPASSWORD={password}", *query, "--command=select current_user, current_database()"]
        return cluster.kubectl("exec", "it", f"--namespace={namespace}", "--", *command)

    assert asked("secret") == "tuning|studies\n"
    with pytest.raises(KubectlError, match="password authentication failed"):
        asked("guessed")
