"""Rarer calls of providers: plays, reversals, asides, rewards, jackpots; and cash locked."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE casino_calls ADD reward text;
CREATE INDEX casino_calls_reward ON casino_calls (casino_id, provider, reward)
    WHERE reward IS NOT NULL;
CREATE TABLE casino_jackpots (
    casino_id integer NOT NULL,
    provider text NOT NULL,
    call text NOT NULL,
    jackpot text NOT NULL,
    contributed numeric(84, 6) NOT NULL,
    won numeric(78, 0) NOT NULL,
    PRIMARY KEY (casino_id, provider, call, jackpot),
    CONSTRAINT jackpots_amounts CHECK (contributed >= 0 AND won >= 0)
);
CREATE TABLE casino_rewards (
    casino_id integer NOT NULL,
    provider text NOT NULL,
    id text NOT NULL,
    number bigint NOT NULL,
    player_id bigint NOT NULL,
    asset text NOT NULL,
    game text,
    count integer NOT NULL,
    used integer NOT NULL,
    state text NOT NULL,
    expires_at timestamptz NOT NULL,
    actor text NOT NULL,
    given_at timestamptz NOT NULL,
    reason text,
    PRIMARY KEY (casino_id, provider, id),
    CONSTRAINT rewards_used CHECK (count > 0 AND used BETWEEN 0 AND count),
    CONSTRAINT rewards_state CHECK (state = 'granted' OR state = 'cancelled' AND used = 0)
);
CREATE INDEX casino_rewards_of_player ON casino_rewards (casino_id, player_id, given_at, number);
ALTER TABLE grants ADD locked numeric(78, 0) NOT NULL DEFAULT 0,
    ADD CONSTRAINT grants_locked CHECK (locked >= 0);
"""

# What was told stays, a reward is as it was given but for its bets and its end, and neither is
# what was locked with a bonus changed; see `books_stay` in 0007.
GUARDS = """
CREATE TRIGGER casino_jackpots_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON casino_jackpots
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER casino_rewards_stay BEFORE DELETE OR TRUNCATE ON casino_rewards
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER casino_rewards_follow BEFORE UPDATE ON casino_rewards
    FOR EACH ROW WHEN (old.state <> 'granted' OR (old.casino_id, old.provider, old.id,
            old.number, old.player_id, old.asset, old.game, old.count, old.expires_at, old.actor,
            old.given_at)
        IS DISTINCT FROM (new.casino_id, new.provider, new.id, new.number, new.player_id,
            new.asset, new.game, new.count, new.expires_at, new.actor, new.given_at))
    EXECUTE FUNCTION books_stay();
CREATE TRIGGER grants_locked_stay BEFORE UPDATE ON grants
    FOR EACH ROW WHEN (new.locked <> old.locked) EXECUTE FUNCTION books_stay();
"""

# As in 0015: a call stays as it was, but for one that is taken back, once.
FOLLOW = """
DROP TRIGGER casino_calls_follow ON casino_calls;
CREATE TRIGGER casino_calls_follow BEFORE UPDATE ON casino_calls
    FOR EACH ROW WHEN (old.state <> 'done' OR new.state <> 'returned' OR {kinds}
        OR (old.id, old.number, old.player_id, old.asset, old.amount, old.cash, old.bonus,
                old.grant_id, old.played{more})
            IS DISTINCT FROM
            (new.id, new.number, new.player_id, new.asset, new.amount, new.cash, new.bonus,
                new.grant_id, new.played{same}))
    EXECUTE FUNCTION books_stay();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GUARDS)
    kinds = "old.kind NOT IN ('debit', 'tip', 'buy_in', 'credit')"
    more = ", old.kind, old.reward"
    op.execute(FOLLOW.format(kinds=kinds, more=more, same=more.replace("old", "new")))


def downgrade() -> None:
    op.execute(FOLLOW.format(kinds="old.kind <> 'debit'", more="", same=""))
    op.execute("DROP TRIGGER grants_locked_stay ON grants")
    op.execute("ALTER TABLE grants DROP locked")
    op.execute("DROP TABLE casino_rewards")
    op.execute("DROP TABLE casino_jackpots")
    op.execute("ALTER TABLE casino_calls DROP reward")
