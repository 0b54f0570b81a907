"""What the doors read is found by index: bets by time, players by account."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BETS = (("bets_recent", "casino_id"), ("bets_of_player", "player_id"))


def upgrade() -> None:
    for name, whose in BETS:
        op.drop_index(name, "bets")
        op.create_index(name, "bets", [whose, sa.text("placed_at DESC"), sa.text("id DESC")])
    op.create_index("player_identities_account", "player_identities", ["external_id", "casino_id"])


def downgrade() -> None:
    op.drop_index("player_identities_account", "player_identities")
    for name, whose in BETS:
        op.drop_index(name, "bets")
        op.create_index(name, "bets", [whose, "id"])
