"""A study with everything real but its sampler's process: database, local runtime, gateway, desk, controller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tuning_operator.api.study import StudySpec
from tuning_operator.controller.desk import StudyDesk
from tuning_operator.controller.loop import run_until_at_rest
from tuning_operator.controller.parts import Parts
from tuning_operator.controller.study import StudyController
from tuning_operator.engine.facts import SamplerChoice, StudyFacts
from tuning_operator.gateway.desk import AttemptRef
from tuning_operator.gateway.server import Gateway
from tuning_operator.gateway.tokens import LocalTokens
from tuning_operator.runtime.local.command import local_command
from tuning_operator.runtime.local.runtime import Credentials, LocalRuntime, Place
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.store.database import Database
from tuning_operator.store.identity import StudyIdentity
from tuning_operator.store.ledger import Ledger

IDENTITY = StudyIdentity(cluster="test", uid="0123456789ab", namespace="default", name="small")


@dataclass
class LocalStudy:
    """A study that is open."""

    controller: StudyController
    ledger: Ledger
    wake: asyncio.Event

    async def run(self) -> StudyFacts:
        """Until nothing is left to do."""
        return await run_until_at_rest(self.controller, self.wake, looked=lambda _facts: None)


@asynccontextmanager
async def open_study(spec: StudySpec, url: str, root: Path) -> AsyncIterator[LocalStudy]:
    """Open the study in a database whose tables exist."""
    wake = asyncio.Event()
    tokens = LocalTokens()
    desk = StudyDesk(changed=lambda _key: wake.set())
    gateway = Gateway(desk, tokens)
    database = await asyncio.to_thread(Database.connect, url)
    ledger = await asyncio.to_thread(
        database.adopt, IDENTITY, spec_json=spec.model_dump_json(), direction=spec.objective.direction, now=time.time()
    )
    stored = await asyncio.to_thread(ledger.load)
    desk.start()
    await gateway.start()
    credentials = Credentials(
        endpoint=gateway.endpoint,
        issue=lambda key: tokens.issue(AttemptRef("key", key.trial, key.attempt)),
        revoke=lambda key: tokens.revoke(AttemptRef("key", key.trial, key.attempt)),
    )
    runtime = LocalRuntime(Place(root=root, incarnation="test"), local_command(spec.trial), credentials, changed=wake.set)
    await runtime.open()
    controller = StudyController(
        name="default/small",
        spec=spec,
        generation=ledger.fence,
        choice=SamplerChoice(sampler="random", reason="for the test"),
        stored=stored,
        parts=Parts(
            ledger=ledger,
            runtime=runtime,
            searcher=InlineSearcher(),
            clock=time.time,
            write_reports=desk.write_reports,
            expire=_keep,
        ),
    )
    desk.open_study("key", controller)
    try:
        yield LocalStudy(controller, ledger, wake)
    finally:
        await runtime.close()
        await gateway.close()
        await desk.close()
        database.close()


async def _keep() -> None:
    pass
