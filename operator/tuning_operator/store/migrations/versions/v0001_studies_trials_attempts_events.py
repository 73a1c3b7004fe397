"""Studies with their fence, trials, attempts, and the event log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tuning_studies",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("spec_json", sa.Text(), nullable=False),
        sa.Column("choice_json", sa.Text(), nullable=True),
        sa.Column("verdict_json", sa.Text(), nullable=True),
        sa.Column("exhausted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("study_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
        sa.UniqueConstraint("cluster", "uid", name="uq_tuning_studies_identity"),
    )
    op.create_table(
        "tuning_trials",
        sa.Column("trial_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("claimed_at", sa.Double(), nullable=False),
        sa.Column("claim_digest", sa.Text(), nullable=False),
        sa.Column("told_json", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("trial_id"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.trial_id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["study_id"], ["tuning_studies.study_id"], ondelete="CASCADE"),
        sa.UniqueConstraint("study_id", "number", name="uq_tuning_trials_number"),
    )
    op.create_table(
        "tuning_attempts",
        sa.Column("trial_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("claimed_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("posted_json", sa.Text(), nullable=True),
        sa.Column("ended_json", sa.Text(), nullable=True),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("gpu_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("trial_id", "number"),
        sa.ForeignKeyConstraint(["trial_id"], ["tuning_trials.trial_id"], ondelete="CASCADE"),
    )
    op.create_table(
        "tuning_events",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("detail_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("study_id", "sequence"),
        sa.ForeignKeyConstraint(["study_id"], ["tuning_studies.study_id"], ondelete="CASCADE"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("tuning_events", "tuning_attempts", "tuning_trials", "tuning_studies"):
        op.drop_table(table)
