"""Bonuses: campaigns in versions, grants that only go forward, and the wagers counted for them."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE campaigns (
    id bigint PRIMARY KEY,
    casino_id integer NOT NULL,
    code text NOT NULL,
    version integer NOT NULL,
    asset text NOT NULL,
    terms jsonb NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, code, version),
    CONSTRAINT campaigns_gb CHECK (terms->>'jurisdiction' IS DISTINCT FROM 'GB'
        OR (terms->>'multiplier_bp')::bigint <= 100000
        AND jsonb_array_length(terms->'products') = 1)
);
CREATE TABLE grants (
    id bigint PRIMARY KEY,
    casino_id integer NOT NULL,
    player_id bigint NOT NULL,
    asset text NOT NULL,
    campaign_id bigint NOT NULL,
    state text NOT NULL,
    amount numeric(78, 0) NOT NULL,
    deposit numeric(78, 0) NOT NULL,
    required_bp numeric(78, 0) NOT NULL,
    done_bp numeric(78, 0) NOT NULL DEFAULT 0,
    granted_at timestamptz NOT NULL DEFAULT now(),
    activated_at timestamptz,
    expires_at timestamptz,
    ended_at timestamptz,
    reason text,
    before numeric(78, 0),
    added numeric(78, 0),
    removed numeric(78, 0),
    CONSTRAINT grants_amounts CHECK (amount > 0 AND deposit >= 0 AND required_bp > 0),
    CONSTRAINT grants_state CHECK (state IN
        ('pending', 'active', 'completed', 'expired', 'forfeited', 'cancelled')),
    CONSTRAINT grants_ended CHECK ((state IN ('pending', 'active')) = (ended_at IS NULL)),
    CONSTRAINT grants_active_at CHECK ((activated_at IS NULL) = (expires_at IS NULL)
        AND (activated_at IS NULL) = (before IS NULL AND state <> 'active')),
    CONSTRAINT grants_ending CHECK (before IS NULL AND added IS NULL AND removed IS NULL
        OR before >= 0 AND added >= 0 AND removed >= 0 AND before = added + removed)
);
CREATE INDEX grants_of_player ON grants (casino_id, player_id, asset);
CREATE UNIQUE INDEX grants_active ON grants (casino_id, player_id, asset) WHERE state = 'active';
CREATE INDEX grants_expiring ON grants (casino_id, expires_at) WHERE state = 'active';
CREATE INDEX grants_met ON grants (casino_id, id)
    WHERE state = 'active' AND done_bp >= required_bp;
CREATE TABLE late_returns (
    grant_id bigint PRIMARY KEY,
    amount numeric(78, 0) NOT NULL
);
CREATE TABLE waiting_wagers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    casino_id integer NOT NULL,
    source text NOT NULL,
    bet text NOT NULL,
    grant_id bigint NOT NULL,
    game text,
    cash numeric(78, 0) NOT NULL,
    bonus numeric(78, 0) NOT NULL,
    settled_at timestamptz NOT NULL
);
CREATE INDEX waiting_wagers_of_casino ON waiting_wagers (casino_id, id);
CREATE TABLE wagers (
    casino_id integer NOT NULL,
    source text COLLATE "C" NOT NULL,
    bet text COLLATE "C" NOT NULL,
    grant_id bigint NOT NULL,
    game text,
    cash numeric(78, 0) NOT NULL,
    bonus numeric(78, 0) NOT NULL,
    settled_at timestamptz NOT NULL,
    counted_bp numeric(78, 0) NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (casino_id, source, bet)
);
"""

# For everybody: terms stand as they were agreed, a grant goes forward, and what counted stays.
GUARDS = """
CREATE TRIGGER campaigns_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON campaigns
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER grants_stay BEFORE DELETE OR TRUNCATE ON grants
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER late_returns_stay BEFORE DELETE OR TRUNCATE ON late_returns
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER wagers_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON wagers
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE FUNCTION grants_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.casino_id, NEW.player_id, NEW.asset, NEW.campaign_id, NEW.amount, NEW.deposit,
            NEW.required_bp, NEW.granted_at)
        IS DISTINCT FROM (OLD.id, OLD.casino_id, OLD.player_id, OLD.asset, OLD.campaign_id,
            OLD.amount, OLD.deposit, OLD.required_bp, OLD.granted_at)
        OR OLD.state = 'active' AND (NEW.activated_at, NEW.expires_at)
            IS DISTINCT FROM (OLD.activated_at, OLD.expires_at)
        OR OLD.state = 'pending'
            AND NEW.state NOT IN ('pending', 'active', 'forfeited', 'cancelled')
        OR OLD.state = 'active' AND NEW.state = 'pending'
        OR OLD.state NOT IN ('pending', 'active')
    THEN
        RAISE EXCEPTION 'grant % is %: it only goes forward', OLD.id, OLD.state
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state AND NEW.done_bp <> OLD.done_bp THEN
        RAISE EXCEPTION 'grant % was counted meanwhile', OLD.id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER grants_forward BEFORE UPDATE ON grants
    FOR EACH ROW EXECUTE FUNCTION grants_forward();
"""


def upgrade() -> None:
    for script in (TABLES, GUARDS):
        op.execute(script)


def downgrade() -> None:
    for table in ("wagers", "waiting_wagers", "late_returns", "grants", "campaigns"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION grants_forward")
