"""What a casino may lose in rounds under way: its limit at every table, and the risk of each round.

A round that is under way while this runs counts with what backs it, by its table's rate of today.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE round_tables ADD most_operator numeric(78, 0)
    CONSTRAINT round_tables_most_operator CHECK (most_operator > 0);
ALTER TABLE rounds ADD risk numeric(78, 0) NOT NULL DEFAULT 0,
    ADD CONSTRAINT rounds_risk CHECK (risk >= 0);
UPDATE rounds r SET risk = ceil(r.liability * t.units / t.coins) FROM round_tables t
WHERE t.id = r.table_id AND r.state IN ('waiting', 'closed', 'drawn') AND r.bets > 0;
CREATE INDEX rounds_at_risk ON rounds (table_id, opens_at)
    WHERE state IN ('waiting', 'closed', 'drawn');
"""

# As in 0017; the risk is fixed with the other sums of a round.
FORWARD = """
CREATE OR REPLACE FUNCTION rounds_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.table_id, new.number, new.batch_first, new.opens_at, new.closes_at)
        IS DISTINCT FROM (old.table_id, old.number, old.batch_first, old.opens_at, old.closes_at)
        OR old.state <> 'waiting'
            AND (new.bets, new.stake, new.liability{new}, new.root, new.signature)
            IS DISTINCT FROM (old.bets, old.stake, old.liability{old}, old.root, old.signature)
        OR old.state IN ('drawn', 'settled') AND (new.beacon, new.seed, new.outcome, new.result)
            IS DISTINCT FROM (old.beacon, old.seed, old.outcome, old.result)
        OR old.reason IS NOT NULL AND new.reason IS DISTINCT FROM old.reason
        OR old.state IN ('settled', 'void', 'skipped') AND new.payout <> old.payout
        OR old.state <> new.state AND (old.state, new.state) NOT IN (
            ('waiting', 'closed'), ('waiting', 'skipped'), ('closed', 'drawn'),
            ('closed', 'void'), ('drawn', 'settled'))
    THEN
        RAISE EXCEPTION 'round % of table % is %: it only goes forward', old.number,
            old.table_id, old.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
END $$
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(FORWARD.format(new=", new.risk", old=", old.risk"))


def downgrade() -> None:
    op.execute(FORWARD.format(new="", old=""))
    op.execute("DROP INDEX rounds_at_risk")
    op.execute("ALTER TABLE rounds DROP risk")
    op.execute("ALTER TABLE round_tables DROP most_operator")
