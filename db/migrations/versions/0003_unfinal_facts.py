"""Facts that are not final yet are found without reading the final ones."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "chain_transfers",
    "fees",
    "jackpots",
    "pools",
    "seed_commitments",
    "seed_reveals",
    "system_events",
)


def upgrade() -> None:
    for table in TABLES:
        op.create_index(
            f"{table}_unfinal",
            table,
            ["source_id", "position"],
            postgresql_where=sa.text("finality = 'confirmed'"),
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_index(f"{table}_unfinal", table)
