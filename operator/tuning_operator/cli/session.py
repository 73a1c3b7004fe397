"""A study run on this machine: its parts put together, and taken apart again in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tuning_operator.api.changes import frozen_changes
from tuning_operator.api.problems import ManifestError, Problem
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec, TuningStudy
from tuning_operator.cli.directory import StudyDirectory, local_identity
from tuning_operator.controller.desk import StudyDesk
from tuning_operator.controller.loop import run_until_at_rest
from tuning_operator.controller.study import Parts, StudyController
from tuning_operator.engine.facts import SamplerChoice, StudyFacts, Trial
from tuning_operator.gateway.desk import AttemptRef
from tuning_operator.gateway.server import Gateway
from tuning_operator.gateway.tokens import LocalTokens
from tuning_operator.runtime.local.command import local_command
from tuning_operator.runtime.local.runtime import Credentials, LocalRuntime
from tuning_operator.runtime.protocol import AttemptKey
from tuning_operator.search.auto import choose
from tuning_operator.search.pool import SearchPool
from tuning_operator.store.database import Database
from tuning_operator.store.ledger import Ledger
from tuning_operator.store.prepare import prepare
from tuning_operator.store.records import StoredStudy

_LOOK_SECONDS: Final = 0.2


@dataclass
class LocalSession:
    """A study that is open in this process."""

    controller: StudyController
    study_name: str
    _wake: asyncio.Event
    _looked: list[Callable[[StudyFacts, StudyStatus], None]] = field(default_factory=list)
    status: StudyStatus | None = None
    _looked_at: float = 0.0

    def watch(self, looked: Callable[[StudyFacts, StudyStatus], None]) -> None:
        """Call this after every look at the study."""
        self._looked.append(looked)

    def suspend(self) -> None:
        """Stop the running trials and start none; `run` ends when they have stopped."""
        self.controller.suspend()
        self._wake.set()

    async def run(self) -> StudyStatus:
        """Run the study until it is finished, or stalled or suspended with nothing running."""
        facts = await run_until_at_rest(self.controller, self._wake, looked=self._look_now_and_then)
        return self._look(facts)

    def _look_now_and_then(self, facts: StudyFacts) -> None:
        """Nobody reads faster than this, and trials may end faster."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._look(facts)

    def _look(self, facts: StudyFacts) -> StudyStatus:
        self.status = self.controller.status(self.status)
        for looked in self._looked:
            looked(facts, self.status)
        return self.status


@asynccontextmanager
async def open_session(
    study: TuningStudy, directory: StudyDirectory, *, parallelism: int | None = None
) -> AsyncIterator[LocalSession]:
    """Open a study of this directory, new or continued, with everything it needs.

    Raises:
        ManifestError: the manifest changes what is frozen, or needs a cluster.
        StoreError: the directory's database cannot be used.
        DirectoryInUseError: another process works in the directory.
    """
    spec = _with_parallelism(study.spec, parallelism)
    command = local_command(spec.trial)
    identity = local_identity(study.metadata.namespace, study.metadata.name)
    key = identity.study_name
    wake = asyncio.Event()
    tokens = LocalTokens()
    desk = StudyDesk(changed=lambda _key: wake.set())
    gateway = Gateway(desk, tokens)

    async with AsyncExitStack() as stack:
        stack.enter_context(directory.in_use())
        await asyncio.to_thread(prepare, directory.database_url)
        database = await asyncio.to_thread(Database.connect, directory.database_url)
        stack.callback(database.close)
        ledger = await asyncio.to_thread(
            database.adopt,
            identity,
            spec_json=spec.model_dump_json(),
            direction=spec.objective.direction,
            now=time.time(),
        )
        stored = await asyncio.to_thread(ledger.load)
        choice = await asyncio.to_thread(_settle_spec, ledger, stored, spec)
        searcher = SearchPool(processes=1)
        stack.push_async_callback(searcher.close)
        # Closed in reverse: the runtime first, then the gateway, and the desk once nobody brings anything any more.
        desk.start()
        stack.push_async_callback(desk.close)
        await gateway.start()
        stack.push_async_callback(gateway.close)
        credentials = Credentials(
            endpoint=gateway.endpoint,
            issue=lambda attempt: tokens.issue(_ref(key, attempt)),
            revoke=lambda attempt: tokens.revoke(_ref(key, attempt)),
        )
        runtime = LocalRuntime(directory.root, command, credentials, changed=wake.set)
        await runtime.open()
        stack.push_async_callback(runtime.close)
        controller = StudyController(
            name=f"{study.metadata.namespace}/{study.metadata.name}",
            spec=spec,
            # Every run is a chance to have mended what stalled the study.
            generation=ledger.fence,
            choice=choice,
            stored=stored,
            parts=Parts(
                ledger=ledger, runtime=runtime, searcher=searcher, clock=time.time, write_reports=desk.write_reports, expire=_keep
            ),
        )
        desk.open_study(key, controller, ledger)
        yield LocalSession(controller=controller, study_name=ledger.study_name, _wake=wake)


def _settle_spec(ledger: Ledger, stored: StoredStudy, spec: StudySpec) -> SamplerChoice:
    """Refuse changes of what is frozen, store the spec of this run, and resolve the sampler once."""
    before = StudySpec.model_validate_json(stored.spec_json)
    changes = _refused_changes(before, spec, stored.trials)
    if changes:
        raise ManifestError([Problem("", change) for change in changes])
    if before != spec:
        ledger.save_spec(spec.model_dump_json())
    if stored.choice is not None:
        return stored.choice
    choice = choose(spec)
    ledger.save_choice(choice)
    return choice


def _refused_changes(before: StudySpec, spec: StudySpec, trials: Sequence[Trial]) -> tuple[str, ...]:
    """Changes that would mix what cannot be compared. A container that gave no result yet may still be mended."""
    if not trials:
        return ()
    if not any(trial.finished for trial in trials):
        spec = spec.model_copy(update={"trial": before.trial})
    return frozen_changes(before, spec)


def _with_parallelism(spec: StudySpec, parallelism: int | None) -> StudySpec:
    if parallelism is None:
        return spec
    return spec.model_copy(update={"budget": spec.budget.model_copy(update={"parallelism": parallelism})})


def _ref(key: str, attempt: AttemptKey) -> AttemptRef:
    return AttemptRef(study=key, trial=attempt.trial, attempt=attempt.attempt)


async def _keep() -> None:
    """A study in a directory has no time to live: people delete directories."""
