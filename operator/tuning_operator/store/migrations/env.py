"""Run the migrations on the connection and in the transaction of the caller, so that they happen whole or not at all."""

from alembic import context

from tuning_operator.store.tables import TUNING_VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=TUNING_VERSION_TABLE,
    # SQLite can roll DDL back as well; Alembic assumes that Python's driver gets in the way, but ours is told not to.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
