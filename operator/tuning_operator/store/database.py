"""The study database: open it, find studies, take one over."""

from __future__ import annotations

from typing import Self

import sqlalchemy as sa

from tuning_operator.store import codec, optuna_sql
from tuning_operator.store.connection import Connections, database_url, is_sqlite, sqlite_file
from tuning_operator.store.errors import ConflictError
from tuning_operator.store.identity import StudyIdentity
from tuning_operator.store.ledger import Ledger
from tuning_operator.store.loader import load_study, read_events
from tuning_operator.store.records import Event, StoredStudy, StudySummary
from tuning_operator.store.rows import AnyRow, forget_deleted_studies
from tuning_operator.store.tables import studies, trials
from tuning_operator.store.versions import missing_file, require_current


class Database:
    """A pool of connections to prepared tables (`prepare`). Safe for threads; one per process.

    Every method may raise `DatabaseUnavailableError`: nothing is lost, repeat the call.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @classmethod
    def connect(cls, url: str) -> Self:
        """Open a database whose tables exist.

        Raises:
            DatabaseUrlError: the URL is neither PostgreSQL nor a SQLite file.
            DatabaseUnavailableError: it does not answer.
            SchemaMismatchError: its tables are missing, or not those this program was written for.
        """
        parsed = database_url(url)
        if is_sqlite(parsed) and not sqlite_file(parsed).exists():
            raise missing_file()
        connections = Connections(parsed)
        try:
            with connections.reading() as connection:
                require_current(connection)
        except BaseException:
            connections.dispose()
            raise
        return cls(connections)

    def close(self) -> None:
        """Close the connections; ledgers of this database open new ones when they are used again."""
        self._connections.dispose()

    def ping(self) -> None:
        """Ask for nothing, to learn whether it answers."""
        with self._connections.reading() as connection:
            connection.execute(sa.select(sa.literal(1)))

    def adopt(self, identity: StudyIdentity, *, spec_json: str, direction: str, now: float) -> Ledger:
        """Create the study, or take over the one that is there; then its former owner can write no more.

        The stored spec of an existing study stays: compare it with `Ledger.load` and `save_spec`.

        Raises:
            ConflictError: the study optimizes in the other direction, or its name belongs to another study.
        """
        with self._connections.writing() as connection:
            forget_deleted_studies(connection)
            taken = _take_over(connection, identity)
            if taken is None:
                _create(connection, identity, spec_json=spec_json, direction=direction, now=now)
                taken = _take_over(connection, identity)
            if taken is None:
                raise ConflictError(f"the database has another study named {identity.study_name}; delete it first")
            study_id, fence = taken
            stored = optuna_sql.direction_of(connection, study_id)
            if stored != direction:
                raise ConflictError(f"study {identity.study_name} is stored as {stored}, not {direction}; create a new study")
        return Ledger(self._connections, study_id=study_id, study_name=identity.study_name, fence=fence)

    def studies(self) -> tuple[StudySummary, ...]:
        """All studies, oldest first."""
        with self._connections.reading() as connection:
            return tuple(_summary(row) for row in connection.execute(sa.select(studies).order_by(studies.c.study_id)))

    def unfinished(self, cluster: str, *, uid: str | None = None) -> tuple[StudyIdentity, ...]:
        """Studies of a cluster, or the one of that uid, that have not ended, or of whose trials one is not told."""
        untold = sa.exists().where(trials.c.study_id == studies.c.study_id, trials.c.told_json.is_(None))
        open_ones = sa.select(studies).where(studies.c.cluster == cluster, sa.or_(studies.c.verdict_json.is_(None), untold))
        if uid is not None:
            open_ones = open_ones.where(studies.c.uid == uid)
        with self._connections.reading() as connection:
            return tuple(_summary(row).identity for row in connection.execute(open_ones.order_by(studies.c.study_id)))

    def named(self, cluster: str, namespace: str, name: str) -> tuple[StudySummary, ...]:
        """The studies that have had this name in a cluster, oldest first."""
        query = sa.select(studies).where(studies.c.cluster == cluster, studies.c.namespace == namespace, studies.c.name == name)
        with self._connections.reading() as connection:
            return tuple(_summary(row) for row in connection.execute(query.order_by(studies.c.study_id)))

    def find(self, identity: StudyIdentity) -> StudySummary | None:
        """The study in a few words, or None when there is none."""
        with self._connections.reading() as connection:
            row = _row(connection, identity)
            return _summary(row) if row else None

    def read(self, identity: StudyIdentity) -> StoredStudy | None:
        """All that is stored of the study but its log, without taking it over; None when there is none.

        Raises:
            ForeignWriteError: it holds trials, or ends of trials, that the operator did not write.
        """
        with self._connections.reading() as connection:
            row = _row(connection, identity)
            return load_study(connection, row, identity.study_name) if row else None

    def events(self, identity: StudyIdentity) -> tuple[Event, ...]:
        """The study's log, oldest first; empty when there is none."""
        with self._connections.reading() as connection:
            row = _row(connection, identity)
            return read_events(connection, row.study_id) if row else ()


def _same(identity: StudyIdentity) -> sa.ColumnElement[bool]:
    return sa.and_(studies.c.cluster == identity.cluster, studies.c.uid == identity.uid)


def _row(connection: sa.Connection, identity: StudyIdentity) -> AnyRow | None:
    return connection.execute(sa.select(studies).where(_same(identity))).one_or_none()


def _take_over(connection: sa.Connection, identity: StudyIdentity) -> tuple[int, int] | None:
    statement = (
        sa.update(studies).where(_same(identity)).values(fence=studies.c.fence + 1).returning(studies.c.study_id, studies.c.fence)
    )
    row = connection.execute(statement).one_or_none()
    return (row.study_id, row.fence) if row else None


def _create(connection: sa.Connection, identity: StudyIdentity, *, spec_json: str, direction: str, now: float) -> None:
    study_id = optuna_sql.ensure_study(connection, identity.study_name, direction)
    row = {**vars(identity), "study_id": study_id, "fence": 0, "began_at": now, "spec_json": spec_json, "exhausted": False}
    connection.execute(optuna_sql.insert_ignoring(connection.dialect.name, studies).values(row))


def _summary(row: AnyRow) -> StudySummary:
    return StudySummary(
        identity=StudyIdentity(cluster=row.cluster, uid=row.uid, namespace=row.namespace, name=row.name),
        began_at=row.began_at,
        fence=row.fence,
        verdict=None if row.verdict_json is None else codec.verdict_from_json(row.verdict_json),
    )
