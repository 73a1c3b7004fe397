"""Our own tables beside Optuna's: what Optuna has no place for.

The migrations create and change them; a test holds the two together. Times are seconds since the epoch. What is read
and compared whole is a JSON text (`codec.py`).
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from tuning_operator.store import optuna_sql

TUNING_VERSION_TABLE: Final = "tuning_alembic_version"
TUNING_REVISIONS: Final = ("0001", "0002")
"""Every revision of our tables that this program knows, oldest first."""

TUNING_HEAD: Final = TUNING_REVISIONS[-1]

metadata = sa.MetaData()


def _owned_by(column: sa.Column[Any]) -> sa.ForeignKey:
    # Deleting a study or trial with Optuna's tools deletes what is ours of it.
    return sa.ForeignKey(column, ondelete="CASCADE")


studies = sa.Table(
    "tuning_studies",
    metadata,
    sa.Column("study_id", sa.Integer, _owned_by(optuna_sql.studies.c.study_id), primary_key=True, autoincrement=False),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("uid", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),  # the owner's; each write checks and locks it
    sa.Column("began_at", sa.Double, nullable=False),
    sa.Column("spec_json", sa.Text, nullable=False),
    sa.Column("choice_json", sa.Text),
    sa.Column("verdict_json", sa.Text),
    sa.Column("exhausted", sa.Boolean, nullable=False),
    sa.Column("search_end_json", sa.Text),
    sa.UniqueConstraint("cluster", "uid", name="uq_tuning_studies_identity"),
)

trials = sa.Table(
    "tuning_trials",
    metadata,
    sa.Column("trial_id", sa.Integer, _owned_by(optuna_sql.trials.c.trial_id), primary_key=True, autoincrement=False),
    sa.Column("study_id", sa.Integer, _owned_by(studies.c.study_id), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("claimed_at", sa.Double, nullable=False),
    sa.Column("claim_digest", sa.Text, nullable=False),  # tells a repeated claim from another one
    sa.Column("told_json", sa.Text),
    sa.UniqueConstraint("study_id", "number", name="uq_tuning_trials_number"),
)

attempts = sa.Table(
    "tuning_attempts",
    metadata,
    sa.Column("trial_id", sa.Integer, _owned_by(trials.c.trial_id), primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("claimed_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("stop_reason", sa.Text),
    sa.Column("posted_json", sa.Text),
    sa.Column("ended_json", sa.Text),
    sa.Column("last_step", sa.Integer, nullable=False),
    sa.Column("gpu_seconds", sa.Double, nullable=False),
)

events = sa.Table(
    "tuning_events",
    metadata,
    sa.Column("study_id", sa.Integer, _owned_by(studies.c.study_id), primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("detail_json", sa.Text, nullable=False),
)
