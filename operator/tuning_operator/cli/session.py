"""A study run on this machine: its parts put together, and taken apart again in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tuning_operator.api.problems import ManifestError, Problem
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec, TuningStudy
from tuning_operator.cli.directory import StudyDirectory, local_identity
from tuning_operator.controller.desk import StudyDesk
from tuning_operator.controller.loop import run_until_at_rest
from tuning_operator.controller.parts import Parts
from tuning_operator.controller.specs import refused_changes, settle
from tuning_operator.controller.study import StudyController
from tuning_operator.engine.facts import Role, SamplerChoice, StudyFacts
from tuning_operator.gateway.desk import AttemptRef
from tuning_operator.gateway.server import Gateway
from tuning_operator.gateway.tokens import LocalTokens
from tuning_operator.runtime.local.command import local_command
from tuning_operator.runtime.local.runtime import Credentials, LocalRuntime, Place
from tuning_operator.runtime.protocol import AttemptKey
from tuning_operator.search.pool import SearchPool
from tuning_operator.store.database import Database
from tuning_operator.store.identity import StudyIdentity
from tuning_operator.store.ledger import Ledger
from tuning_operator.store.prepare import prepare
from tuning_operator.store.records import StoredStudy

_LOOK_SECONDS: Final = 0.2


@dataclass
class LocalSession:
    """A study that is open in this process."""

    controller: StudyController
    study_name: str
    told_before: frozenset[int]  # trials that an earlier run has told
    note: str  # what the user should know before it goes on; may be empty
    _wake: asyncio.Event
    _runtime: LocalRuntime
    _looked: list[Callable[[StudyFacts, StudyStatus], None]] = field(default_factory=list)
    status: StudyStatus | None = None
    _looked_at: float = 0.0
    _trouble: str = ""

    def watch(self, looked: Callable[[StudyFacts, StudyStatus], None]) -> None:
        """Call this after every look at the study."""
        self._looked.append(looked)

    def suspend(self) -> None:
        """Stop the running trials and start none; `run` ends when they have stopped."""
        self.controller.suspend()
        self._wake.set()

    def abandon(self) -> None:
        """Do not wait for trials that are being stopped: they end by themselves, and the next run finds how."""
        self._runtime.abandon()

    async def run(self, *, trouble: Callable[[str], object]) -> StudyStatus:
        """Run the study until it is finished, or stalled or suspended with nothing running.

        Args:
            trouble: called with a sentence when something does not answer and will be tried again.
        """

        def look(facts: StudyFacts) -> None:
            self._look_now_and_then(facts)
            if self.controller.trouble != self._trouble:
                self._trouble = self.controller.trouble
                trouble(self._trouble or "The search answers again.")

        return self._look(await run_until_at_rest(self.controller, self._wake, looked=look, trouble=trouble))

    def _look_now_and_then(self, facts: StudyFacts) -> None:
        """Nobody reads faster than this, and trials may end faster."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._look(facts)

    def _look(self, facts: StudyFacts) -> StudyStatus:
        self.status = self.controller.status(facts, self.status)
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
    final = local_command(spec.trial.model_copy(update={"template": spec.final_template}))
    identity = local_identity(study.metadata.namespace, study.metadata.name)
    key = identity.study_name
    wake = asyncio.Event()
    tokens = LocalTokens()
    desk = StudyDesk(changed=lambda _key: wake.set())
    gateway = Gateway(desk, tokens)

    directory.create()
    async with AsyncExitStack() as stack:
        stack.enter_context(directory.in_use())
        await asyncio.to_thread(prepare, directory.database_url)
        database = await asyncio.to_thread(Database.connect, directory.database_url)
        stack.callback(database.close)
        await asyncio.to_thread(_refuse_another, database, identity, directory)
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
        # Began at another time: another study, though in the same directory.
        place = Place(root=directory.root, incarnation=repr(stored.began_at))
        runtime = LocalRuntime(place, command, credentials, final=final, changed=wake.set)
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
        desk.open_study(key, controller)
        yield LocalSession(
            controller=controller,
            study_name=ledger.study_name,
            told_before=frozenset(trial.number for trial in stored.trials if trial.finished),
            note=_note(spec, stored, directory),
            _wake=wake,
            _runtime=runtime,
        )


def _refuse_another(database: Database, identity: StudyIdentity, directory: StudyDirectory) -> None:
    """A directory holds one study: under another name it would be taken for that one."""
    for summary in database.studies():
        if summary.identity != identity:
            here, wanted = summary.identity, identity
            raise ManifestError(
                [
                    Problem(
                        "metadata.name",
                        f"{directory.root} holds study {here.namespace}/{here.name}, not {wanted.namespace}/{wanted.name}; "
                        "put the name back, or choose another --output",
                    )
                ]
            )


def _note(spec: StudySpec, stored: StoredStudy, directory: StudyDirectory) -> str:
    """What a user should know who edited the budget of a finished study, or lost the database of another."""
    if not stored.trials and directory.trials.exists():
        return f"{directory.trials} has trials of a study whose database is gone: this is a new study beside them."
    searched = sum(trial.role is Role.SEARCH for trial in stored.trials)
    if stored.verdict is None or spec.budget.max_trials <= searched:
        return ""
    return (
        f"The study has ended already ({stored.verdict.reason}): spec.budget.maxTrials {spec.budget.max_trials} starts nothing; "
        "choose another --output for a new study."
    )


def _settle_spec(ledger: Ledger, stored: StoredStudy, spec: StudySpec) -> SamplerChoice:
    """Refuse changes of what is frozen, store the spec of this run, and resolve the sampler once."""
    before = StudySpec.model_validate_json(stored.spec_json)
    changes = refused_changes(before, spec, stored.trials)
    if changes:
        raise ManifestError([Problem("", change) for change in changes])
    return settle(ledger, before, spec, choice=stored.choice, trials=stored.trials)


def _with_parallelism(spec: StudySpec, parallelism: int | None) -> StudySpec:
    if parallelism is None:
        return spec
    return spec.model_copy(update={"budget": spec.budget.model_copy(update={"parallelism": parallelism})})


def _ref(key: str, attempt: AttemptKey) -> AttemptRef:
    return AttemptRef(study=key, trial=attempt.trial, attempt=attempt.attempt)


async def _keep() -> None:
    """A study in a directory has no time to live: people delete directories."""
