"""Labels, annotations and paths that the Jobs of a study carry. Changing one orphans the Jobs that run."""

from typing import Final

from tuning_operator.api.constants import GROUP

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "tuning-operator"

STUDY_UID_LABEL: Final = f"{GROUP}/study-uid"
"""Of the TuningStudy object: a study of the same name, created again, is another one."""
STUDY_LABEL: Final = f"{GROUP}/study"
"""Its name, for people: `kubectl get pods -l tuningstudy.dev/study=digits`. Cut to 63 characters."""
TRIAL_LABEL: Final = f"{GROUP}/trial"
ATTEMPT_LABEL: Final = f"{GROUP}/attempt"
ROLE_LABEL: Final = f"{GROUP}/role"

RELEASED_LABEL: Final = f"{GROUP}/released"
"""On a Job that is no attempt any more: its end is in the database, or it was never claimed. Set together with its TTL,
which alone may be the work of a cluster's policy."""

LAUNCH_ANNOTATION: Final = f"{GROUP}/launch"
"""On a Job: a digest of what its trial is told. A database that was restored may claim its number for something else."""

TRAINER_ANNOTATION: Final = f"{GROUP}/trainer-container"
"""On the Pod: which container is the trial. Webhooks may add others, so it cannot be told from their number."""

KUEUE_QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
"""Read by Kueue from the Job, where users of plain Jobs write it; in a template it stands on the Pod."""
KUEUE_PRIORITY_LABEL: Final = "kueue.x-k8s.io/priority-class"

SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGER},{STUDY_UID_LABEL}"
"""Every Job and every Pod of ours, on the server's side of a watch."""

LABEL_LIMIT: Final = 63
"""Characters of a label's value, and of a Job's name, since the Job controller makes a label of it."""

RESULT_FILE: Final = "/dev/termination-log"
"""Where the kubelet reads the termination message by default."""
TOKEN_VOLUME: Final = "tuning-token"  # noqa: S105 - the name of a volume
TOKEN_DIRECTORY: Final = "/var/run/secrets/tuningstudy.dev"  # noqa: S105 - a directory
TOKEN_FILE: Final = f"{TOKEN_DIRECTORY}/token"
TOKEN_AUDIENCE: Final = f"gateway.{GROUP}"
"""A token for the gateway is good for nothing else, the API server included."""
TOKEN_SECONDS: Final = 3600
"""Life of a token; the kubelet renews it at 80 % of that."""
SHARED_MEMORY_VOLUME: Final = "tuning-shared-memory"
SHARED_MEMORY_PATH: Final = "/dev/shm"  # noqa: S108 - the mount that PyTorch's data loaders use
