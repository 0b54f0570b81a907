"""Game providers: games, launches, rounds and calls at the casino, and a studio's own tables."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

CASINO = """
CREATE TABLE casino_games (
    casino_id integer NOT NULL,
    provider text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    closed_at timestamptz,
    PRIMARY KEY (casino_id, provider, code)
);
CREATE TABLE casino_launches (
    digest bytea PRIMARY KEY,
    casino_id integer NOT NULL,
    provider text NOT NULL,
    game text NOT NULL,
    player_id bigint NOT NULL,
    player text NOT NULL,
    asset text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE TABLE casino_rounds (
    casino_id integer NOT NULL,
    provider text NOT NULL,
    player_id bigint NOT NULL,
    round text NOT NULL,
    asset text NOT NULL,
    game text NOT NULL,
    state text NOT NULL,
    calls integer NOT NULL,
    settled integer NOT NULL,
    standing integer NOT NULL,
    cash numeric(78, 0) NOT NULL,
    bonus numeric(78, 0) NOT NULL,
    opened_at timestamptz NOT NULL,
    touched_at timestamptz NOT NULL,
    closed_at timestamptz,
    PRIMARY KEY (casino_id, provider, player_id, round),
    CONSTRAINT rounds_standing CHECK (standing >= 0 AND cash >= 0 AND bonus >= 0)
) WITH (fillfactor = 80);
-- Rounds to be closed, and rounds for people to look at: one index for both, as bets are many.
CREATE INDEX casino_rounds_left ON casino_rounds (touched_at)
    WHERE state = 'open' OR (settled = 0 AND standing > 0);
CREATE TABLE casino_calls (
    casino_id integer NOT NULL,
    provider text NOT NULL,
    id text NOT NULL,
    number bigint NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    code text,
    player_id bigint NOT NULL,
    asset text NOT NULL,
    game text NOT NULL,
    round text NOT NULL,
    place integer NOT NULL,
    target text,
    amount numeric(78, 0) NOT NULL,
    cash numeric(78, 0) NOT NULL,
    bonus numeric(78, 0) NOT NULL,
    transfer_id bigint,
    at timestamptz NOT NULL,
    PRIMARY KEY (casino_id, provider, id),
    CONSTRAINT calls_split CHECK (amount >= 0 AND cash >= 0 AND bonus >= 0
        AND (kind <> 'debit' OR state NOT IN ('done', 'returned') OR amount = cash + bonus))
);
CREATE INDEX casino_calls_round ON casino_calls (casino_id, provider, round);
CREATE INDEX casino_calls_at ON casino_calls USING brin (at);
"""

# A call stays as it was, but for a debit that is rolled back, once; see `books_stay` in 0007.
GUARDS = """
CREATE TRIGGER casino_calls_stay BEFORE DELETE OR TRUNCATE ON casino_calls
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER casino_calls_follow BEFORE UPDATE ON casino_calls
    FOR EACH ROW WHEN (old.state <> 'done' OR new.state <> 'returned' OR old.kind <> 'debit'
        OR (old.id, old.number, old.player_id, old.asset, old.amount, old.cash, old.bonus)
            IS DISTINCT FROM
            (new.id, new.number, new.player_id, new.asset, new.amount, new.cash, new.bonus))
    EXECUTE FUNCTION books_stay();
"""

STUDIO = """
CREATE TABLE provider_sessions (
    id text PRIMARY KEY,
    token text NOT NULL UNIQUE,
    player text NOT NULL,
    game text NOT NULL,
    currency text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE provider_rounds (
    id text PRIMARY KEY,
    session_id text NOT NULL REFERENCES provider_sessions (id),
    at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE TABLE provider_calls (
    id text PRIMARY KEY,
    round_id text NOT NULL REFERENCES provider_rounds (id),
    kind text NOT NULL,
    amount bigint NOT NULL,
    target text,
    state text NOT NULL,
    code text,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX provider_calls_open ON provider_calls (at) WHERE state = 'sent';
"""

TABLES = (
    *("provider_calls", "provider_rounds", "provider_sessions"),
    *("casino_calls", "casino_rounds", "casino_launches", "casino_games"),
)


def upgrade() -> None:
    for script in (CASINO, GUARDS, STUDIO):
        op.execute(script)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
