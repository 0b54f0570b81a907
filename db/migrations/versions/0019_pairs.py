"""Pairs: booths, batches of commitments, pairs of players, and bets with their receipts.

What was committed stands as it was committed, a client seed stands from the first bet on, a retired
pair takes no bet, and a bet never changes: the database holds it, whoever writes.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE pair_booths (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    casino_id integer NOT NULL,
    network text NOT NULL,
    program text NOT NULL,
    asset text NOT NULL,
    beacon text NOT NULL,
    games jsonb NOT NULL,
    least numeric(78, 0) NOT NULL,
    most numeric(78, 0) NOT NULL,
    most_win numeric(78, 0) NOT NULL,
    most_player numeric(78, 0) NOT NULL,
    trouble text,
    stopped boolean NOT NULL DEFAULT false,
    begins bigint NOT NULL DEFAULT 0,
    resumes boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (network, program),
    CHECK (least > 0 AND most >= least AND most_win > 0 AND most_player > 0)
);
CREATE TABLE pair_batches (
    booth_id integer NOT NULL,
    number bigint NOT NULL,
    count integer NOT NULL,
    root bytea NOT NULL,
    kind text NOT NULL,
    signer bytea NOT NULL,
    state text NOT NULL DEFAULT 'drawn'
        CHECK (state IN ('drawn', 'sent', 'confirmed', 'foreign')),
    tx text,
    position bigint,
    committed_at bigint,
    final_at bigint,
    beacon jsonb,
    activation bytea,
    drawn_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    activated_at timestamptz,
    PRIMARY KEY (booth_id, number),
    CHECK (number >= 0 AND count BETWEEN 1 AND 256),
    CHECK (state <> 'confirmed'
        OR num_nulls(confirmed_at, tx, position, committed_at, final_at) = 0),
    CHECK (num_nulls(beacon, activation, activated_at) IN (0, 3)
        AND (activation IS NULL OR state = 'confirmed'))
);
CREATE TABLE pairs (
    player_id bigint NOT NULL,
    epoch bigint NOT NULL,
    booth_id integer NOT NULL,
    casino_id integer NOT NULL,
    account text NOT NULL,
    asset text NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'active', 'retired', 'revealed', 'unplayed')),
    number bigint,
    place integer,
    sealed bytea,
    commit bytea,
    client_seed bytea CHECK (octet_length(client_seed) BETWEEN 1 AND 64),
    bets integer NOT NULL DEFAULT 0,
    stake numeric(78, 0) NOT NULL DEFAULT 0,
    payout numeric(78, 0) NOT NULL DEFAULT 0,
    last bytea,
    seed bytea,
    opened_at timestamptz NOT NULL DEFAULT now(),
    active_at timestamptz,
    retired_at timestamptz,
    reveal_tx text,
    revealed_at timestamptz,
    PRIMARY KEY (player_id, epoch),
    UNIQUE (booth_id, number, place),
    CHECK (epoch >= 0),
    CONSTRAINT pairs_sums CHECK (bets >= 0 AND bets <= 65536 AND stake >= 0 AND payout >= 0),
    CONSTRAINT pairs_drawn CHECK (num_nulls(number, place, sealed, commit) IN (0, 4)
        AND (state IN ('waiting', 'unplayed') OR number IS NOT NULL)),
    CONSTRAINT pairs_played CHECK ((bets > 0) = (last IS NOT NULL)
        AND (bets = 0 OR client_seed IS NOT NULL)),
    CONSTRAINT pairs_shown CHECK ((state = 'revealed') = (seed IS NOT NULL))
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX pairs_in_waiting ON pairs (booth_id, player_id) WHERE state = 'waiting';
CREATE UNIQUE INDEX pairs_in_play ON pairs (booth_id, player_id) WHERE state = 'active';
CREATE INDEX pairs_to_reveal ON pairs (booth_id, number, place)
    WHERE state = 'retired' AND bets > 0;
CREATE TABLE pair_bets (
    player_id bigint NOT NULL,
    epoch bigint NOT NULL,
    nonce integer NOT NULL,
    casino_id integer NOT NULL,
    game text NOT NULL,
    pay_id integer NOT NULL,
    choice jsonb NOT NULL,
    params bytea NOT NULL,
    stake numeric(78, 0) NOT NULL,
    cash numeric(78, 0) NOT NULL,
    bonus numeric(78, 0) NOT NULL,
    grant_id bigint,
    said_at bigint NOT NULL,
    previous bytea NOT NULL,
    digest bytea NOT NULL,
    signature bytea NOT NULL,
    outcome bytea NOT NULL,
    result jsonb NOT NULL,
    payout numeric(78, 0) NOT NULL,
    transfer_id bigint NOT NULL UNIQUE,
    paid_id bigint UNIQUE,
    at timestamptz NOT NULL,
    PRIMARY KEY (player_id, epoch, nonce),
    CHECK (nonce BETWEEN 0 AND 65535),
    CHECK ((payout > 0) = (paid_id IS NOT NULL)),
    CONSTRAINT pair_bets_split CHECK (stake > 0 AND cash >= 0 AND bonus >= 0
        AND cash + bonus = stake AND payout >= 0)
);
CREATE INDEX pair_bets_at ON pair_bets USING brin (at)
    WITH (pages_per_range = 16, autosummarize = on);
"""

# For everybody. A seed is its pair's for good, and once retired a pair is only revealed.
GUARDS = """
CREATE TRIGGER pair_bets_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON pair_bets
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER pairs_stay BEFORE DELETE OR TRUNCATE ON pairs
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER pair_batches_stay BEFORE DELETE OR TRUNCATE ON pair_batches
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE FUNCTION pair_batches_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.booth_id, new.number, new.count, new.root, new.kind, new.signer)
        IS DISTINCT FROM
        (old.booth_id, old.number, old.count, old.root, old.kind, old.signer)
        OR old.state IN ('confirmed', 'foreign') AND (new.state, new.tx, new.position,
            new.committed_at, new.final_at, new.confirmed_at) IS DISTINCT FROM (old.state, old.tx,
            old.position, old.committed_at, old.final_at, old.confirmed_at)
        OR old.activation IS NOT NULL AND (new.beacon, new.activation, new.activated_at)
            IS DISTINCT FROM (old.beacon, old.activation, old.activated_at)
    THEN
        RAISE EXCEPTION 'batch % of booth % stands as it was drawn', old.number, old.booth_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER pair_batches_forward BEFORE UPDATE ON pair_batches
    FOR EACH ROW EXECUTE FUNCTION pair_batches_forward();
CREATE FUNCTION pairs_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.player_id, new.epoch, new.booth_id, new.casino_id, new.account, new.asset)
        IS DISTINCT FROM
        (old.player_id, old.epoch, old.booth_id, old.casino_id, old.account, old.asset)
        OR old.number IS NOT NULL AND (new.number, new.place, new.sealed, new.commit)
            IS DISTINCT FROM (old.number, old.place, old.sealed, old.commit)
        OR (old.bets > 0 OR old.state NOT IN ('waiting', 'active'))
            AND new.client_seed IS DISTINCT FROM old.client_seed
        OR old.state <> 'active' AND (new.bets, new.stake, new.payout, new.last)
            IS DISTINCT FROM (old.bets, old.stake, old.payout, old.last)
        OR new.bets < old.bets OR new.stake < old.stake OR new.payout < old.payout
        OR old.seed IS NOT NULL AND new.seed IS DISTINCT FROM old.seed
        OR old.state <> new.state AND (old.state, new.state) NOT IN (
            ('waiting', 'active'), ('waiting', 'unplayed'), ('active', 'retired'),
            ('retired', 'revealed'))
    THEN
        RAISE EXCEPTION 'pair %.% is %: it only goes forward', old.player_id, old.epoch,
            old.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER pairs_forward BEFORE UPDATE ON pairs
    FOR EACH ROW EXECUTE FUNCTION pairs_forward();
"""


def upgrade() -> None:
    for script in (TABLES, GUARDS):
        op.execute(script)


def downgrade() -> None:
    for table in ("pair_bets", "pairs", "pair_batches", "pair_booths"):
        op.execute(f"DROP TABLE {table}")
    for function in ("pairs_forward", "pair_batches_forward"):
        op.execute(f"DROP FUNCTION {function}")
