"""The operator's studies in this process: a real database, an API server in memory, and a time that passes at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

from kubernetes.aio.client import ApiClient
from tests.support.virtual_time import run_in_virtual_time
from tests.unit.controller.studies import KEY, SPEC, study

from tuning_operator.api.status import StudyStatus
from tuning_operator.controller.cluster_studies import ClusterStudies, Settings
from tuning_operator.controller.cluster_study import Cluster
from tuning_operator.controller.objects import StudyObjects
from tuning_operator.controller.publishing import status_of
from tuning_operator.controller.studies_api import StudiesApi
from tuning_operator.engine.facts import Trial, Verdict
from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind
from tuning_operator.runtime.kubernetes.client import Document, KubernetesApi, NotFoundError
from tuning_operator.runtime.kubernetes.runtime import KubernetesRuntime
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.search.searcher import Searcher
from tuning_operator.store.database import Database
from tuning_operator.store.identity import StudyIdentity
from tuning_operator.store.prepare import prepare

EPOCH: Final = 1_795_000_000.0
IDENTITY: Final = StudyIdentity(cluster="0c9d5f3e-kube-system", uid=KEY.uid, namespace=KEY.namespace, name="digits")

Answer = Callable[[Mapping[str, Any]], Document]
"""Takes the body of a request. May raise what `KubernetesApi.request` raises."""


class ScriptedApi(KubernetesApi):
    """Keeps objects by path. `answers` come first: by method and the end of the path."""

    def __init__(self) -> None:
        super().__init__(cast("ApiClient", None))
        self.objects: dict[str, Document] = {}
        self.answers: dict[tuple[str, str], Answer] = {}
        self.asked: list[tuple[str, str]] = []
        self.version = 100

    def put(self, path: str, document: Document) -> Document:
        """Keep a new version of an object."""
        self.version += 1
        metadata = document["metadata"] | {"resourceVersion": str(self.version)}
        self.objects[path] = document | {"metadata": metadata}
        return self.objects[path]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Document:
        """As the real one."""
        self.asked.append((method, path))
        await asyncio.sleep(0)
        for (verb, end), answer in self.answers.items():
            if verb == method and path.endswith(end):
                return answer(body or {})
        return self._answered(method, path, body or {}, dry=("dryRun", "All") in query)

    def _answered(self, method: str, path: str, body: Mapping[str, Any], *, dry: bool) -> Document:
        if method == "POST":
            metadata = body["metadata"] | {"uid": f"uid-{self.version}", "creationTimestamp": "2026-11-23T12:00:00Z"}
            made = dict(body) | {"metadata": metadata | {"resourceVersion": str(self.version)}}
            return made if dry else self.put(f"{path}/{metadata.get('name', self.version)}", made)
        if method == "GET" and path.rpartition("/")[2] in ("tuningstudies", "jobs", "pods", "events"):
            kind = path.rpartition("/")[2]
            items = [found for where, found in self.objects.items() if where.split("/")[-2] == kind]
            return {"items": items, "metadata": {"resourceVersion": str(self.version)}}
        found = self.objects.get(path.removesuffix("/status"))
        if found is None:
            raise NotFoundError(f"{path} not found", code=404, reason="NotFound")
        if method == "PATCH":
            metadata = found["metadata"] | {
                "labels": {**found["metadata"].get("labels", {}), **body["metadata"].get("labels", {})}
            }
            return self.put(path.removesuffix("/status"), found | dict(body) | {"metadata": metadata})
        if method == "DELETE":
            del self.objects[path]
        return found


class ScriptedCluster:
    """One study of the operator, and what a test does to it."""

    def __init__(self, api: ScriptedApi, studies: ClusterStudies, objects: StudyObjects, cache: ClusterCache) -> None:
        self.api = api
        self.studies = studies
        self._objects = objects
        self._cache = cache

    path: Final = "/apis/tuningstudy.dev/v1alpha1/namespaces/research/tuningstudies/digits"

    def apply(self, **spec: Any) -> None:
        """kubectl apply, and the watch event of it. Fields of the spec are replaced as a whole."""
        if self.path in self.api.objects:
            self.watched(self.edit_unwatched(**spec))
        else:
            self.watched(self.api.put(self.path, study(spec=SPEC | spec)))

    def edit_unwatched(self, **spec: Any) -> Document:
        """kubectl apply, of which no watch event is seen."""
        known = self.api.objects[self.path]
        metadata = known["metadata"] | {"generation": known["metadata"]["generation"] + 1}
        return self.api.put(self.path, known | {"metadata": metadata, "spec": known["spec"] | spec})

    def delete(self) -> None:
        """kubectl delete, and the watch event of it."""
        gone = self.api.objects.pop(self.path)
        self.api.version += 1
        self.watched(gone | {"metadata": gone["metadata"] | {"resourceVersion": str(self.api.version)}}, deleted=True)

    def watched(self, raw: Document, *, deleted: bool = False) -> None:
        """A watch event of the study."""
        key = self._objects.apply(raw, deleted=deleted)
        if key is not None:
            self.studies.queue.add(key)

    def jobs(self) -> list[Document]:
        """All there are."""
        return [found for path, found in self.api.objects.items() if "/jobs/" in path]

    def fail(self, job: Document, code: int = 1) -> None:
        """A Job whose Pod ended with this exit code and is gone, and the watch event of it."""
        message = f"Container trainer for pod research/digits failed with exit code {code} matching FailJob rule at index 3"
        state = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": message}
        self.put_job(job | {"status": {"conditions": [state]}})

    def put_job(self, job: Document) -> None:
        """A Job as somebody has written it, and the watch event of it."""
        path = f"/apis/batch/v1/namespaces/research/jobs/{job['metadata']['name']}"
        for key in self._cache.apply(Kind.JOB, self.api.put(path, job)):
            self.studies.queue.add(key)

    def status(self) -> StudyStatus:
        """As it stands in the cluster."""
        found = status_of(self.api.objects[self.path])
        assert found is not None, "it has no status yet"
        return found

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason."""
        return next((each.status, each.reason) for each in self.status().conditions if each.type == kind)


class _AtOnce(ThreadPoolExecutor):
    """Threads would take time of the real kind."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - handed over, like a thread's
            future.set_exception(error)
        return future


@asynccontextmanager
async def operator(
    folder: Path, *, searcher: Searcher | None = None, api: ScriptedApi | None = None
) -> AsyncIterator[ScriptedCluster]:
    """Look after studies until the end of the block.

    Args:
        folder: of the database, which is made if there is none.
        searcher: one of a test's own.
        api: that of an earlier operator, to begin with what that left; an empty one else.
    """
    loop = asyncio.get_running_loop()
    loop.set_default_executor(_AtOnce())
    url = f"sqlite:///{folder / 'studies.db'}"
    prepare(url)
    database = Database.connect(url)
    api, objects, cache = api or ScriptedApi(), StudyObjects(), ClusterCache()

    def clock() -> float:
        return EPOCH + loop.time()

    studies = ClusterStudies(
        Cluster(api=StudiesApi(api), objects=objects, clock=clock),
        runtime=KubernetesRuntime(api, cache, clock=clock),
        database=database,
        searcher=searcher or InlineSearcher(),
        settings=Settings(cluster_uid=IDENTITY.cluster, gateway_url="http://gateway.test:8080"),
    )
    studies.desk.start()
    await studies.relist()
    working = asyncio.create_task(studies.queue.run())
    try:
        yield ScriptedCluster(api, studies, objects, cache)
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await studies.desk.close()
        database.close()


def owners(folder: Path) -> int:
    """How often the study has been opened."""
    database = Database.connect(f"sqlite:///{folder / 'studies.db'}")
    try:
        return sum(each.fence for each in database.studies())
    finally:
        database.close()


def stored(folder: Path) -> tuple[Verdict | None, Sequence[Trial]]:
    """What the database has of the study."""
    database = Database.connect(f"sqlite:///{folder / 'studies.db'}")
    try:
        found = database.read(IDENTITY)
    finally:
        database.close()
    assert found is not None, "the database has no such study"
    return found.verdict, found.trials


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test in a time of its own."""
    run_in_virtual_time(cast("Coroutine[Any, Any, None]", test()))
