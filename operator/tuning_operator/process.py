"""The operator as a process: its parts put together, run, and taken apart again in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import kopf
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from tuning_operator.controller.backoff import backoffs
from tuning_operator.controller.cluster_studies import ClusterStudies, Settings
from tuning_operator.controller.cluster_study import Cluster
from tuning_operator.controller.health import Health, Monitoring
from tuning_operator.controller.objects import StudyObjects
from tuning_operator.controller.observing import Observer
from tuning_operator.controller.observing import settings as kopf_settings
from tuning_operator.controller.people import StudyLibrary
from tuning_operator.controller.shares import Limits
from tuning_operator.controller.studies_api import StudiesApi
from tuning_operator.gateway.cluster import ClusterTokens, Readers
from tuning_operator.gateway.people import PeopleApi
from tuning_operator.gateway.reviews import ClusterReviews
from tuning_operator.gateway.server import Gateway
from tuning_operator.runtime.kubernetes.cache import ClusterCache
from tuning_operator.runtime.kubernetes.client import KubernetesApi, RequestRefusedError
from tuning_operator.runtime.kubernetes.names import TOKEN_AUDIENCE
from tuning_operator.runtime.kubernetes.runtime import KubernetesRuntime
from tuning_operator.runtime.protocol import RuntimeUnavailableError
from tuning_operator.search.pool import SearchPool
from tuning_operator.store.database import Database
from tuning_operator.store.errors import DatabaseUnavailableError
from tuning_operator.store.prepare import prepare
from tuning_operator.telemetry.studies import StudyFigures

_log = logging.getLogger(__name__)

RELIST_SECONDS: Final = 300.0
"""What a watch lost without a word is found by a full list after so long at most."""

_DATABASE_SECONDS: Final = 5.0
_WATCH_AGAIN_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the platform team decides about the process."""

    database_url: str
    gateway_url: str
    gateway_port: int = 8080
    monitoring_port: int = 8081
    host: str = "0.0.0.0"  # noqa: S104 - in a Pod; the NetworkPolicy says who may come
    namespaces: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    search_processes: int = 1
    relist_seconds: float = RELIST_SECONDS


async def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT, or until a part fails that the others cannot do without.

    Raises:
        StoreError: the database cannot be used, and waiting does not help.
        RequestRefusedError: the operator may not read what it must.
        OSError: a port cannot be listened on.
    """
    # What has been imported stays for ever: to look through it for garbage, again and again, takes a tenth of a second in
    # which nothing else happens.
    gc.collect()
    gc.freeze()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        health = Health(time.time)
        parts = _Parts()
        # First, so that probes have an answer while the database is waited for.
        monitoring = Monitoring(
            health,
            depth=parts.depth,
            database=parts.database_problem,
            studies=parts.figures,
            open_studies=parts.open_studies,
        )
        stack.push_async_callback(monitoring.close)
        await monitoring.start(options.host, options.monitoring_port)
        main = asyncio.create_task(_serve(options, health, parts, stop=stop.set))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((main, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not main.done():
            _log.info("stopping: trials go on, and are found again")
            main.cancel()
        with suppress(asyncio.CancelledError):
            await main


@dataclass
class _Parts:
    """What monitoring asks, as soon as it is there."""

    studies: ClusterStudies | None = None
    database: Database | None = None

    def depth(self) -> int:
        return self.studies.queue.depth if self.studies else 0

    def open_studies(self) -> int:
        return self.studies.open_count if self.studies else 0

    def figures(self) -> Iterable[StudyFigures]:
        return self.studies.figures() if self.studies else ()

    async def database_problem(self) -> str | None:
        if self.database is None:
            return "the database has not answered yet"
        try:
            async with asyncio.timeout(_DATABASE_SECONDS):
                await asyncio.to_thread(self.database.ping)
        except (DatabaseUnavailableError, TimeoutError) as error:
            return str(error) or "the database does not answer in time"
        return None


async def _serve(options: Options, health: Health, parts: _Parts, *, stop: Callable[[], None]) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client())
        api = KubernetesApi(client)
        cluster = Cluster(api=StudiesApi(api), objects=StudyObjects(), clock=time.time)
        parts.database = await _patiently("the database", lambda: asyncio.to_thread(_open_database, options.database_url))
        stack.callback(parts.database.close)
        searcher = SearchPool(processes=options.search_processes)
        stack.push_async_callback(searcher.close)
        settings = Settings(
            cluster_uid=await _patiently("the cluster", cluster.api.cluster_uid),
            gateway_url=options.gateway_url,
            namespaces=options.namespaces,
            limits=options.limits,
        )
        runtime = KubernetesRuntime(api, ClusterCache(), clock=time.time)
        studies = parts.studies = ClusterStudies(
            cluster, runtime=runtime, database=parts.database, searcher=searcher, settings=settings
        )
        reviews = ClusterReviews(client)
        tokens = ClusterTokens(reviews, studies.holder_of, time.time, audience=TOKEN_AUDIENCE)
        library = StudyLibrary(
            open_studies=studies, database=parts.database, cluster=settings.cluster_uid, version=version("tuning-operator")
        )
        people = PeopleApi(library, Readers(reviews, time.time, audience=TOKEN_AUDIENCE), version=version("tuning-operator"))
        gateway = Gateway(studies.desk, tokens, host=options.host, port=options.gateway_port, routes=people.routes())
        # Closed in reverse: first nothing more is brought, then what was brought is written.
        studies.desk.start()
        stack.push_async_callback(studies.desk.close)
        await gateway.start()
        stack.push_async_callback(gateway.close)
        await _patiently("the cluster", studies.relist)
        health.listed(began_at=health.clock(), news=False)
        observer = Observer(cluster.objects, runtime.cache, changed=studies.queue.add, alive=health.event)
        health.ready = True
        _log.info("watching %s", ", ".join(options.namespaces) or "all namespaces")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(studies.queue.run())
                tasks.create_task(_relist(studies, health, options.relist_seconds))
                tasks.create_task(health.measure_loop())
                tasks.create_task(_watch(observer, options.namespaces, stop=stop))
        finally:
            health.ready = False


def _open_database(url: str) -> Database:
    prepare(url)
    return Database.connect(url)


async def _patiently(what: str, attempt: Callable[[], Awaitable[Any]]) -> Any:
    """Try until it answers."""
    for delay in backoffs():
        try:
            return await attempt()
        except (DatabaseUnavailableError, RuntimeUnavailableError) as error:
            _log.warning("%s cannot be reached: %s; trying again in %.0f s", what, error, delay)
            await asyncio.sleep(delay)
    raise AssertionError("delays never end")


async def _relist(studies: ClusterStudies, health: Health, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        began_at = health.clock()
        try:
            news = await studies.relist()
        except DatabaseUnavailableError as error:
            # It comes after the cluster, which is what a restart may help to hear again.
            health.listed(began_at=began_at, news=False)
            _log.warning("studies of the database could not be listed: %s; trying again in %.0f s", error, seconds)
        except (RuntimeUnavailableError, RequestRefusedError) as error:
            _log.warning("not everything could be listed: %s; trying again in %.0f s", error, seconds)
        else:
            health.listed(began_at=began_at, news=bool(news))


async def _watch(observer: Observer, namespaces: tuple[str, ...], *, stop: Callable[[], None]) -> None:
    """Watch until cancelled, or until kopf takes a signal: it replaces the handlers of the process by its own."""
    while True:
        try:
            await kopf.operator(
                registry=observer.registry(),
                settings=kopf_settings(),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
            )
        except Exception as error:  # noqa: BLE001 - kopf has no common class for what a server may say in a watch
            _log.warning("the watches have ended: %s; watching anew in %.0f s", error, _WATCH_AGAIN_SECONDS)
            await asyncio.sleep(_WATCH_AGAIN_SECONDS)
        else:
            stop()
            return


@asynccontextmanager
async def _client() -> AsyncIterator[ApiClient]:
    """A client with the service account of this Pod, or else with KUBECONFIG."""
    # Proxies of the environment are for the world outside of the cluster.
    configuration = Configuration(client_session_kwargs={"trust_env": False})
    try:
        config.load_incluster_config(configuration)
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)
    async with ApiClient(configuration) as client:
        yield client
