"""`tuning-operator make-database-secret`: a password that no repository and no person ever sees, made in the cluster."""

from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import Final

import click
from kubernetes import config
from kubernetes.client import ApiClient, Configuration, CoreV1Api, V1ObjectMeta, V1Secret
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

PASSWORD_KEY: Final = "password"  # noqa: S105 - the name of a key
URL_KEY: Final = "url"
USER: Final = "tuning"
DATABASE: Final = "tuning"

_PORT: Final = 5432
_PASSWORD_BYTES: Final = 32
_TIMEOUT: Final = 30
_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def ensure_database_secret(api: CoreV1Api, *, namespace: str, name: str, host: str) -> bool:
    """Create the Secret with a new password for PostgreSQL and the URL that goes with it. One that exists stays as it is.

    It only ever creates, so that whoever runs it needs no right to read or to change Secrets.

    Args:
        api: of the cluster.
        namespace: of the Secret.
        name: of the Secret.
        host: where PostgreSQL answers, on port 5432.

    Returns:
        Whether it was created now.

    Raises:
        ApiException: the API server refuses it.
        HTTPError: the API server does not answer.
    """
    # Of characters that mean nothing in a URL.
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    url = f"postgresql+psycopg://{USER}:{password}@{host}:{_PORT}/{DATABASE}"
    metadata = V1ObjectMeta(name=name, labels={"app.kubernetes.io/part-of": "tuning-operator"})
    secret = V1Secret(metadata=metadata, string_data={PASSWORD_KEY: password, URL_KEY: url})
    try:
        api.create_namespaced_secret(namespace, secret, _request_timeout=_TIMEOUT)
    except ApiException as error:
        if _reason(error) != "AlreadyExists":
            raise
        return False
    return True


@click.command("make-database-secret")
@click.option("--secret", required=True, help="Name of the Secret, in the namespace of this Pod.")
@click.option("--host", required=True, help="Where PostgreSQL answers, on port 5432.")
def make_database_secret(secret: str, host: str) -> None:
    """Make a Secret with a password for PostgreSQL and the URL that goes with it, unless there is one.

    Its keys are `password` and `url`.
    """
    configuration = Configuration()
    try:
        config.load_incluster_config(configuration)
        namespace = _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except (config.ConfigException, OSError) as error:
        raise click.ClickException(f"this is not a Pod with a service account: {error}") from error
    try:
        with ApiClient(configuration) as client:
            made = ensure_database_secret(CoreV1Api(client), namespace=namespace, name=secret, host=host)
    except ApiException as error:
        raise click.ClickException(f"the API server refuses Secret {namespace}/{secret}: {_message(error)}") from error
    except HTTPError as error:
        raise click.ClickException(f"the API server does not answer: {error}") from error
    click.echo(f"Secret {namespace}/{secret} {'is made' if made else 'exists, and stays as it is'}.")


def _reason(error: ApiException) -> str:
    # Of the two kinds of conflict only one means that it exists: the other is with another write to a quota.
    return str(_status(error).get("reason")) if error.status == HTTPStatus.CONFLICT else ""


def _message(error: ApiException) -> str:
    return str(_status(error).get("message") or f"{error.status} {error.reason}")


def _status(error: ApiException) -> dict[str, object]:
    """The answer; nothing where it is not of Kubernetes, but of a proxy before it."""
    try:
        answer = json.loads(str(error.body))
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
