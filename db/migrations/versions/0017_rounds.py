"""Scheduled rounds: tables, pay tables in versions, batches of seeds, rounds and their bets.

What was committed stands as it was committed, a round goes forward only, and a bet ends once:
the database holds it, whoever writes.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE pay_tables (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    game text NOT NULL,
    digest text NOT NULL UNIQUE,
    encoded bytea NOT NULL,
    least_bp integer NOT NULL,
    most_bp integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE round_tables (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    casino_id integer NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9-]{1,32}$'),
    game text NOT NULL,
    pay_id integer NOT NULL,
    asset text NOT NULL,
    network text NOT NULL,
    program text NOT NULL,
    beacon text NOT NULL,
    least numeric(78, 0) NOT NULL,
    most numeric(78, 0) NOT NULL,
    most_win numeric(78, 0) NOT NULL,
    most_player numeric(78, 0) NOT NULL,
    coins numeric(78, 0) NOT NULL,
    units numeric(78, 0) NOT NULL,
    paused_at timestamptz,
    trouble text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (network, program, name),
    CHECK (least > 0 AND most >= least AND most_win > 0 AND most_player > 0),
    CHECK (coins > 0 AND units > 0)
);
CREATE TABLE round_batches (
    table_id integer NOT NULL,
    first bigint NOT NULL,
    count integer NOT NULL,
    root bytea NOT NULL,
    opens bigint NOT NULL,
    period integer NOT NULL,
    lead integer NOT NULL,
    reveal_window integer NOT NULL,
    beacon text NOT NULL,
    max_liability numeric(78, 0) NOT NULL,
    signer bytea NOT NULL,
    pay_id integer NOT NULL,
    state text NOT NULL DEFAULT 'drawn' CHECK (state IN ('drawn', 'sent', 'confirmed')),
    tx text,
    position bigint,
    committed_at bigint,
    drawn_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    released_at timestamptz,
    PRIMARY KEY (table_id, first),
    CHECK (first >= 0 AND count > 0 AND period > lead AND lead > 0 AND reveal_window > 0),
    CHECK (num_nulls(confirmed_at, tx, position, committed_at) = 0 OR state <> 'confirmed')
);
CREATE TABLE round_seeds (
    table_id integer NOT NULL,
    number bigint NOT NULL,
    batch_first bigint NOT NULL,
    sealed bytea NOT NULL,
    commit bytea NOT NULL,
    PRIMARY KEY (table_id, number)
);
CREATE TABLE rounds (
    table_id integer NOT NULL,
    number bigint NOT NULL,
    batch_first bigint NOT NULL,
    opens_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'closed', 'drawn', 'settled', 'void', 'skipped')),
    bets integer NOT NULL DEFAULT 0,
    stake numeric(78, 0) NOT NULL DEFAULT 0,
    liability numeric(78, 0) NOT NULL DEFAULT 0,
    root bytea,
    signature bytea,
    beacon jsonb,
    seed bytea,
    outcome bytea,
    result jsonb,
    payout numeric(78, 0) NOT NULL DEFAULT 0,
    reason text,
    opened_at timestamptz,
    closed_at timestamptz,
    drawn_at timestamptz,
    ended_at timestamptz,
    anchor_tx text,
    anchored_at timestamptz,
    reveal_tx text,
    revealed_at timestamptz,
    PRIMARY KEY (table_id, number),
    CHECK (closes_at > opens_at),
    CONSTRAINT rounds_sums CHECK (bets >= 0 AND stake >= 0 AND liability >= 0),
    CONSTRAINT rounds_signed CHECK ((root IS NULL) = (signature IS NULL)
        AND (state NOT IN ('closed', 'drawn', 'settled') OR root IS NOT NULL)),
    CONSTRAINT rounds_drawn CHECK (state NOT IN ('drawn', 'settled')
        OR num_nulls(beacon, seed, outcome, result) = 0),
    CONSTRAINT rounds_ended CHECK ((state IN ('settled', 'void', 'skipped'))
        = (ended_at IS NOT NULL)),
    CONSTRAINT rounds_void CHECK (reason IS NULL AND state NOT IN ('void', 'skipped')
        OR reason IS NOT NULL AND outcome IS NULL AND state IN ('closed', 'void', 'skipped'))
) WITH (fillfactor = 50);
CREATE INDEX rounds_by_time ON rounds (table_id, closes_at);
CREATE INDEX rounds_under_way ON rounds (closes_at) WHERE state IN ('waiting', 'closed', 'drawn');
CREATE INDEX rounds_to_anchor ON rounds (table_id, number)
    WHERE revealed_at IS NULL AND state <> 'waiting';
CREATE TABLE round_bets (
    id bigint PRIMARY KEY,
    table_id integer NOT NULL,
    number bigint NOT NULL,
    position integer NOT NULL,
    bet bytea NOT NULL UNIQUE,
    casino_id integer NOT NULL,
    player_id bigint NOT NULL,
    account text NOT NULL,
    payee bytea NOT NULL,
    choice jsonb NOT NULL,
    params bytea NOT NULL,
    stake numeric(78, 0) NOT NULL,
    cash numeric(78, 0) NOT NULL,
    bonus numeric(78, 0) NOT NULL,
    grant_id bigint,
    liability numeric(78, 0) NOT NULL,
    leaf bytea NOT NULL,
    state text NOT NULL DEFAULT 'placed'
        CHECK (state IN ('placed', 'won', 'lost', 'returned', 'owed')),
    payout numeric(78, 0) NOT NULL DEFAULT 0,
    transfer_id bigint NOT NULL,
    paid_id bigint,
    at timestamptz NOT NULL,
    ended_at timestamptz,
    UNIQUE (table_id, number, position),
    CONSTRAINT round_bets_split CHECK (stake > 0 AND cash >= 0 AND bonus >= 0
        AND cash + bonus = stake AND payout >= 0 AND liability >= 0)
);
CREATE INDEX round_bets_of_seat ON round_bets (table_id, number, player_id);
CREATE INDEX round_bets_of_player ON round_bets (player_id, id DESC);
CREATE INDEX round_bets_owed ON round_bets (table_id, number, position) WHERE state = 'owed';
"""

# For everybody. A seed's round is its own for good: a void round is never drawn anew.
GUARDS = """
CREATE TRIGGER pay_tables_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON pay_tables
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER round_bets_stay BEFORE DELETE OR TRUNCATE ON round_bets
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER rounds_stay BEFORE DELETE OR TRUNCATE ON rounds
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER round_seeds_stay BEFORE UPDATE ON round_seeds
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE FUNCTION round_batches_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.table_id, new.first, new.count, new.root, new.opens, new.period, new.lead,
            new.reveal_window, new.beacon, new.max_liability, new.signer, new.pay_id)
        IS DISTINCT FROM (old.table_id, old.first, old.count, old.root, old.opens, old.period,
            old.lead, old.reveal_window, old.beacon, old.max_liability, old.signer, old.pay_id)
        OR old.state = 'confirmed'
            AND (new.state, new.tx, new.position, new.committed_at, new.confirmed_at)
            IS DISTINCT FROM
            (old.state, old.tx, old.position, old.committed_at, old.confirmed_at)
    THEN
        RAISE EXCEPTION 'batch % of table % stands as it was drawn', old.first, old.table_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER round_batches_forward BEFORE UPDATE ON round_batches
    FOR EACH ROW EXECUTE FUNCTION round_batches_forward();
CREATE FUNCTION rounds_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.table_id, new.number, new.batch_first, new.opens_at, new.closes_at)
        IS DISTINCT FROM (old.table_id, old.number, old.batch_first, old.opens_at, old.closes_at)
        OR old.state <> 'waiting' AND (new.bets, new.stake, new.liability, new.root, new.signature)
            IS DISTINCT FROM (old.bets, old.stake, old.liability, old.root, old.signature)
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
END $$;
CREATE TRIGGER rounds_forward BEFORE UPDATE ON rounds
    FOR EACH ROW EXECUTE FUNCTION rounds_forward();
CREATE FUNCTION round_bets_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.id, new.table_id, new.number, new.position, new.bet, new.casino_id, new.player_id,
            new.account, new.payee, new.choice, new.params, new.stake, new.cash, new.bonus,
            new.grant_id, new.liability, new.leaf, new.transfer_id, new.at)
        IS DISTINCT FROM (old.id, old.table_id, old.number, old.position, old.bet, old.casino_id,
            old.player_id, old.account, old.payee, old.choice, old.params, old.stake, old.cash,
            old.bonus, old.grant_id, old.liability, old.leaf, old.transfer_id, old.at)
        OR old.state NOT IN ('placed', 'owed')
    THEN
        RAISE EXCEPTION 'bet % is %: it ends once', old.id, old.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER round_bets_forward BEFORE UPDATE ON round_bets
    FOR EACH ROW EXECUTE FUNCTION round_bets_forward();
"""


def upgrade() -> None:
    for script in (TABLES, GUARDS):
        op.execute(script)


def downgrade() -> None:
    for table in ("round_bets", "rounds", "round_seeds", "round_batches", "round_tables"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP TABLE pay_tables")
    for function in ("round_bets_forward", "rounds_forward", "round_batches_forward"):
        op.execute(f"DROP FUNCTION {function}")
