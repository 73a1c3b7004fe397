"""The desk over several studies and one database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from tests.integration.controller.scripted_cluster import ScriptedApi
from tests.support.stored_studies import BEGAN_AT, IDENTITY, SPACE, fresh_trial
from tests.support.studies import study_spec

from tuning_operator.controller.desk import StudyDesk
from tuning_operator.controller.parts import Parts
from tuning_operator.controller.study import StudyController
from tuning_operator.engine.facts import SamplerChoice
from tuning_operator.gateway.desk import AttemptRef, Point
from tuning_operator.runtime.kubernetes.cache import ClusterCache
from tuning_operator.runtime.kubernetes.job import StudyRef
from tuning_operator.runtime.kubernetes.runtime import KubernetesRuntime
from tuning_operator.search.inline import InlineSearcher
from tuning_operator.store.database import Database
from tuning_operator.store.identity import StudyIdentity
from tuning_operator.store.prepare import prepare

MINE = IDENTITY
THEIRS = replace(IDENTITY, uid="another-uid", name="theirs")


async def open_study(desk: StudyDesk, database: Database, identity: StudyIdentity) -> None:
    """A study of one running trial, by its name."""
    spec = study_spec()
    ledger = database.adopt(identity, spec_json=spec.model_dump_json(), direction="maximize", now=BEGAN_AT)
    ledger.claim(fresh_trial(0), SPACE)
    cluster = KubernetesRuntime(ScriptedApi(), ClusterCache(), clock=lambda: BEGAN_AT)
    reference = StudyRef(namespace=identity.namespace, name=identity.name, uid=identity.uid)
    controller = StudyController(
        name=identity.name,
        spec=spec,
        generation=1,
        choice=SamplerChoice(sampler="random", reason="for the test"),
        stored=ledger.load(),
        parts=Parts(
            ledger=ledger,
            runtime=cluster.for_study(reference, lambda: spec.trial, endpoint=None),
            searcher=InlineSearcher(),
            clock=lambda: BEGAN_AT,
            write_reports=desk.write_reports,
            expire=desk.write_reports,
        ),
    )
    desk.open_study(identity.name, controller)


async def test_reports_of_a_study_that_was_taken_over_cost_no_other_study_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    await asyncio.to_thread(prepare, url)
    database = Database.connect(url)
    desk = StudyDesk(changed=lambda _key: None)
    desk.start()
    for identity in (THEIRS, MINE):
        await open_study(desk, database, identity)
    database.adopt(THEIRS, spec_json="{}", direction="maximize", now=BEGAN_AT)
    for identity in (THEIRS, MINE):
        await desk.report(AttemptRef(identity.name, 0, 0), [Point(step=3, value=0.5)])
    await desk.write_reports()
    await desk.close()
    mine, theirs = database.read(MINE), database.read(THEIRS)
    database.close()
    assert mine is not None
    assert theirs is not None
    assert mine.trials[0].reports == {3: 0.5}
    assert theirs.trials[0].reports == {}
