"""What is read of studies, and what that costs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from tests.unit.people.studies import CHOICE, NAME, NAMESPACE, UID, Opened, OpenedStudy, finished, running

from tuning_operator.controller.people import StudyLibrary
from tuning_operator.engine.facts import Outcome
from tuning_operator.gateway.desk import Unavailable
from tuning_operator.gateway.people import Progress, Which
from tuning_operator.gateway.people_wire import StudyDocument
from tuning_operator.store import Database, DatabaseUnavailableError, StudyIdentity, prepare

CLUSTER = "0c9d5f3e"
WHICH = Which(namespace=NAMESPACE, name=NAME)
EARLIER = "11111111-0000"
LATER = "22222222-0000"


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with two studies of a name, one after the other, and one of another cluster."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'study.db'}"
    prepare(url)
    database = Database.connect(url)
    for cluster, uid in ((CLUSTER, EARLIER), (CLUSTER, LATER), ("another", "33333333-0000")):
        world = finished()
        identity = StudyIdentity(cluster=cluster, uid=uid, namespace=NAMESPACE, name="wine")
        ledger = database.adopt(identity, spec_json=world.spec.model_dump_json(), direction="maximize", now=world.facts.began_at)
        ledger.save_choice(CHOICE)
        for trial in world.facts.trials:
            ledger.claim(replace(trial, attempts=(replace(trial.last, ended=None, started_at=None),)), world.spec.parameters)
    database.close()
    return url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database.connect(url)
    yield database
    database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def study() -> OpenedStudy:
    return OpenedStudy(running())


@pytest.fixture
def library(study: OpenedStudy, database: Database, clock: Clock) -> StudyLibrary:
    opened = Opened({(NAMESPACE, NAME): study})
    return StudyLibrary(open_studies=opened, database=database, cluster=CLUSTER, version="1", clock=clock, timer=clock)


def read(body: bytes | None) -> StudyDocument:
    assert body is not None
    return StudyDocument.model_validate_json(body)


async def changes(library: StudyLibrary, after: str = "", which: Which = WHICH) -> tuple[Progress, StudyDocument]:
    progress = await library.progress(which, after)
    assert progress is not None
    return progress, read(progress.body)


def numbers(document: StudyDocument) -> list[int]:
    return [trial.number for trial in document.trials]


async def test_an_open_study_is_told_as_it_is_now(library: StudyLibrary, study: OpenedStudy) -> None:
    study.world.report(0, 0, 0.5)
    document = read(await library.document(WHICH))
    assert numbers(document) == [trial.number for trial in study.world.facts.trials]
    assert (document.trials[0].reports, document.study.metadata.uid, document.running) == ({0: 0.5}, UID, True)


async def test_the_first_look_gets_every_trial(library: StudyLibrary, study: OpenedStudy) -> None:
    _, document = await changes(library)
    assert (numbers(document), document.complete) == ([trial.number for trial in study.world.facts.trials], True)


async def test_a_later_look_gets_the_trials_that_changed(library: StudyLibrary, study: OpenedStudy, clock: Clock) -> None:
    study.world.end(0, Outcome.SUCCEEDED, value=0.5)
    study.world.settle()
    first, document = await changes(library)
    assert numbers(document) == [0, 1, 2]
    study.world.end(1, Outcome.SUCCEEDED, value=0.75)
    study.world.settle()
    clock.now += 1
    second, document = await changes(library, first.version)
    assert second.version != first.version
    assert (numbers(document), document.trials[0].value, document.complete) == ([1, 3], 0.75, False)
    nothing, document = await changes(library, second.version)
    assert (nothing.version, numbers(document)) == (second.version, [])


async def test_reports_wake_nobody(library: StudyLibrary, study: OpenedStudy, clock: Clock) -> None:
    first, _ = await changes(library)
    study.world.report(0, 0, 0.5)
    clock.now += 1
    assert (await changes(library, first.version))[0].version == first.version


async def test_time_alone_wakes_nobody_but_its_figures_are_told(library: StudyLibrary, study: OpenedStudy, clock: Clock) -> None:
    first, before = await changes(library)
    study.world.now += 3_600
    clock.now += 1
    second, after = await changes(library, first.version)
    assert second.version == first.version
    assert before.study.status is not None
    assert after.study.status is not None
    assert after.study.status.usage.trial_hours >= before.study.status.usage.trial_hours + 1


async def test_an_edit_of_the_spec_is_a_change(library: StudyLibrary, study: OpenedStudy, clock: Clock) -> None:
    first, _ = await changes(library)
    study.world.edit(study.world.spec.model_copy(update={"suspend": True}))
    clock.now += 1
    second, document = await changes(library, first.version)
    assert second.version != first.version
    assert (document.study.spec.suspend, document.study.metadata.generation) == (True, 2)


@pytest.mark.parametrize(
    "version", ["", "guessed", "-1", "0-1", "{shelf}-0", "{shelf}-99", "{shelf}-1e3", "{shelf}-" + "9" * 5_000]
)
async def test_who_comes_with_another_word_gets_every_trial(library: StudyLibrary, study: OpenedStudy, version: str) -> None:
    first, _ = await changes(library)
    _, document = await changes(library, version.format(shelf=first.version.partition("-")[0]))
    assert document.complete
    assert len(document.trials) == len(study.world.facts.trials)


async def test_however_many_watch_it_a_study_is_looked_at_once_a_second(
    library: StudyLibrary, study: OpenedStudy, clock: Clock
) -> None:
    for _ in range(3):
        await asyncio.gather(*(library.progress(WHICH, "") for _ in range(100)))
        clock.now += 1
    assert study.looks == 3


async def test_a_study_that_takes_long_to_look_at_is_looked_at_less_often(
    library: StudyLibrary, study: OpenedStudy, clock: Clock
) -> None:
    def take_long() -> None:
        clock.now += 0.25

    study.while_looking = take_long
    await changes(library)
    clock.now += 4.5
    await changes(library)
    assert study.looks == 1
    clock.now += 0.5
    await changes(library)
    assert study.looks == 2


async def test_a_document_serves_everybody_for_two_seconds(library: StudyLibrary, study: OpenedStudy, clock: Clock) -> None:
    await asyncio.gather(*(library.document(WHICH) for _ in range(100)))
    assert study.looks == 1
    clock.now += 2
    await library.document(WHICH)
    assert study.looks == 2


async def test_a_study_that_is_not_open_is_read_from_the_database(library: StudyLibrary) -> None:
    wine = Which(namespace=NAMESPACE, name="wine")
    document = read(await library.document(wine))
    assert (document.study.metadata.uid, document.running, len(document.trials)) == (LATER, False, 5)
    assert document.study.status is not None
    assert document.study.status.search is not None
    assert document.study.status.search.sampler == CHOICE.sampler
    progress, document = await changes(library, which=wine)
    assert len(document.trials) == 5
    _, document = await changes(library, progress.version, which=wine)
    assert (document.trials, document.complete) == ((), False)


@pytest.mark.parametrize("uid", [EARLIER, EARLIER[:8], EARLIER[:1]])
async def test_an_earlier_study_of_a_name_is_found_by_the_beginning_of_its_uid(library: StudyLibrary, uid: str) -> None:
    document = read(await library.document(Which(namespace=NAMESPACE, name="wine", uid=uid)))
    assert document.study.metadata.uid == EARLIER


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(Which(namespace=NAMESPACE, name="wines"), id="another name"),
        pytest.param(Which(namespace="default", name="wine"), id="another namespace"),
        pytest.param(Which(namespace=NAMESPACE, name="wine", uid="33333333"), id="of another cluster"),
        pytest.param(Which(namespace=NAMESPACE, name=NAME, uid=EARLIER), id="an open one of another uid"),
    ],
)
async def test_what_nobody_knows_is_none(library: StudyLibrary, which: Which) -> None:
    assert await library.document(which) is None
    assert await library.progress(which, "") is None


async def test_a_database_that_is_away_is_said_but_not_where_it_is(
    library: StudyLibrary, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnavailableError("the database at postgresql://tuning@db.example does not answer")

    wine = Which(namespace=NAMESPACE, name="wine")
    with monkeypatch.context() as patched:
        patched.setattr(database, "named", away)
        with pytest.raises(Unavailable, match=r"^the study database does not answer now"):
            await library.document(wine)
        with pytest.raises(Unavailable, match=r"^the study database does not answer now"):
            await library.progress(wine, "")
    assert await library.document(wine)


async def test_an_open_study_needs_no_database(
    library: StudyLibrary, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "named", pytest.fail)
    assert await library.document(WHICH)
    assert await library.progress(WHICH, "")
