"""Money in and out of chains: who holds it, which deposits are credited, withdrawals step by step.

A withdrawal only goes forward, and what was asked for never changes: no statement gets around it.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE custodies (
    source_id integer PRIMARY KEY,
    casino_id integer NOT NULL,
    network text NOT NULL,
    address text NOT NULL,
    asset text NOT NULL,
    free numeric(78, 0),
    free_at timestamptz
);
CREATE TABLE withdrawals (
    id bigint PRIMARY KEY,
    request text NOT NULL UNIQUE,
    casino_id integer NOT NULL,
    player_id bigint NOT NULL,
    source_id integer NOT NULL,
    network text NOT NULL,
    asset text NOT NULL,
    address text NOT NULL,
    amount numeric(78, 0) NOT NULL,
    hold_id bigint NOT NULL,
    actor text NOT NULL,
    state text NOT NULL,
    requested_at timestamptz NOT NULL,
    decided_by text,
    reason text,
    decided_at timestamptz,
    trouble text,
    tx text,
    transfer_id bigint,
    ended_at timestamptz,
    CONSTRAINT withdrawals_amount CHECK (amount > 0),
    CONSTRAINT withdrawals_settled CHECK ((state = 'settled') = (transfer_id IS NOT NULL)),
    CONSTRAINT withdrawals_ended
        CHECK ((state IN ('rejected', 'settled', 'failed')) = (ended_at IS NOT NULL))
);
CREATE INDEX withdrawals_open ON withdrawals (source_id, id)
    WHERE state NOT IN ('rejected', 'settled', 'failed');
CREATE INDEX withdrawals_of_casino ON withdrawals (casino_id, requested_at, id);
CREATE INDEX withdrawals_of_player ON withdrawals (player_id, requested_at, id);
CREATE TABLE payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    withdrawal_id bigint NOT NULL,
    tx text NOT NULL UNIQUE,
    sender text NOT NULL,
    raw bytea NOT NULL,
    tx_nonce bigint,
    last_valid bigint,
    signed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_of_withdrawal ON payments (withdrawal_id, id);
ALTER TABLE chain_transfers ADD COLUMN transfer_id bigint;
CREATE INDEX chain_transfers_due ON chain_transfers (source_id, id)
    WHERE direction = 'deposited' AND finality = 'finalized' AND transfer_id IS NULL;
CREATE INDEX chain_transfers_request ON chain_transfers (request, source_id)
    WHERE direction = 'withdrawn';
"""

FORWARD = """
CREATE FUNCTION withdrawals_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE step text := NEW.state;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.id, NEW.request, NEW.casino_id, NEW.player_id, NEW.source_id, NEW.network,
                NEW.asset, NEW.address, NEW.amount, NEW.hold_id, NEW.actor, NEW.requested_at)
            IS DISTINCT FROM
            (OLD.id, OLD.request, OLD.casino_id, OLD.player_id, OLD.source_id, OLD.network,
                OLD.asset, OLD.address, OLD.amount, OLD.hold_id, OLD.actor, OLD.requested_at)
        THEN
            RAISE EXCEPTION 'what withdrawal % asks for never changes', OLD.id
                USING ERRCODE = 'check_violation';
        END IF;
        step := OLD.state || ' to ' || NEW.state;
    END IF;
    IF step NOT IN ('requested', 'approved',
        'requested to requested', 'requested to approved', 'requested to rejected',
        'approved to approved', 'approved to rejected', 'approved to sending',
        'approved to settled', 'approved to failed',
        'sending to sending', 'sending to sent', 'sending to settled', 'sending to failed',
        'sent to sent', 'sent to settled', 'sent to failed')
    THEN
        RAISE EXCEPTION 'withdrawal % does not go from %', NEW.id, step
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER withdrawals_forward BEFORE INSERT OR UPDATE ON withdrawals
    FOR EACH ROW EXECUTE FUNCTION withdrawals_forward();
CREATE TRIGGER withdrawals_stay BEFORE DELETE OR TRUNCATE ON withdrawals
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER payments_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FORWARD)


def downgrade() -> None:
    op.execute("DROP INDEX chain_transfers_due, chain_transfers_request")
    op.execute("ALTER TABLE chain_transfers DROP COLUMN transfer_id")
    for table in ("payments", "withdrawals", "custodies"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION withdrawals_forward")
