"""How the search of a study ended, when runs follow it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; studies of before have nothing in it."""
    op.add_column("tuning_studies", sa.Column("search_end_json", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("tuning_studies", "search_end_json")
