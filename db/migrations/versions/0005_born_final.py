"""Pages say whether they are final, and unfinal facts are found in the order of the chain."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

HALVES = (("placed", "finality"), ("settled", "settled_finality"))
BESIDE = (
    "chain_transfers",
    "fees",
    "jackpots",
    "pools",
    "seed_commitments",
    "seed_reveals",
    "system_events",
)
UNFINAL = sa.text("finality = 'confirmed'")


def upgrade() -> None:
    op.add_column(
        "pages", sa.Column("final", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    for half, column in HALVES:
        op.create_index(
            f"bets_{half}_unfinal",
            "bets",
            ["source_id", f"{half}_position", f"{half}_tx"],
            postgresql_where=sa.text(f"{column} = 'confirmed'"),
        )
    op.drop_index("bets_unfinal", "bets")
    for table in BESIDE:
        _indexed(table, ["source_id", "position", "tx"])


def downgrade() -> None:
    for table in BESIDE:
        _indexed(table, ["source_id", "position"])
    op.create_index(
        "bets_unfinal",
        "bets",
        ["source_id"],
        postgresql_where=sa.text("finality = 'confirmed' or settled_finality = 'confirmed'"),
    )
    for half, _ in HALVES:
        op.drop_index(f"bets_{half}_unfinal", "bets")
    op.drop_column("pages", "final")


def _indexed(table: str, columns: list[str]) -> None:
    op.drop_index(f"{table}_unfinal", table)
    op.create_index(f"{table}_unfinal", table, columns, postgresql_where=UNFINAL)
