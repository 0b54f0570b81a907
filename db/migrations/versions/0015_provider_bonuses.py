"""Bonus money at game providers: the product of a game, and under which bonus a bet was placed."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# A game that nobody said the product of is none of those that terms of bonuses name.
COLUMNS = """
ALTER TABLE casino_games ADD product text NOT NULL DEFAULT 'other';
ALTER TABLE casino_calls ADD grant_id bigint, ADD played text;
ALTER TABLE casino_rounds ADD parts jsonb;
"""

SPLIT = """
ALTER TABLE casino_calls DROP CONSTRAINT calls_split, ADD CONSTRAINT calls_split
    CHECK (amount >= 0 AND cash >= 0 AND bonus >= 0{more}
        AND (kind <> 'debit' OR state NOT IN ('done', 'returned') OR amount = cash + bonus));
"""

# As in 0012: a call stays as it was, but for a debit that is rolled back, once.
FOLLOW = """
DROP TRIGGER casino_calls_follow ON casino_calls;
CREATE TRIGGER casino_calls_follow BEFORE UPDATE ON casino_calls
    FOR EACH ROW WHEN (old.state <> 'done' OR new.state <> 'returned' OR old.kind <> 'debit'
        OR (old.id, old.number, old.player_id, old.asset, old.amount, old.cash, old.bonus{more})
            IS DISTINCT FROM
            (new.id, new.number, new.player_id, new.asset, new.amount, new.cash, new.bonus{same}))
    EXECUTE FUNCTION books_stay();
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(SPLIT.format(more=" AND cash + bonus <= amount"))
    op.execute(FOLLOW.format(more=", old.grant_id, old.played", same=", new.grant_id, new.played"))


def downgrade() -> None:
    op.execute(FOLLOW.format(more="", same=""))
    op.execute(SPLIT.format(more=""))
    op.execute("ALTER TABLE casino_rounds DROP parts")
    op.execute("ALTER TABLE casino_calls DROP grant_id, DROP played")
    op.execute("ALTER TABLE casino_games DROP product")
