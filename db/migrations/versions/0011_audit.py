"""The audit log and its seals, and what is found when the laws of the books are checked.

Every row of the books says in which transaction it was written, so that sealing misses none: what
is below the oldest transaction still open will never be joined by another row.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# A database restored elsewhere finds a cluster that counts transactions anew: the base, which
# `ledger_rebase` raises, keeps new numbers above all that were written before.
NUMBERS = """
CREATE FUNCTION ledger_base() RETURNS bigint STABLE RETURN 0::bigint;
CREATE FUNCTION ledger_xact() RETURNS bigint STABLE
    RETURN pg_current_xact_id()::text::bigint + ledger_base();
CREATE FUNCTION ledger_horizon() RETURNS bigint STABLE
    RETURN pg_snapshot_xmin(pg_current_snapshot())::text::bigint + ledger_base();
CREATE FUNCTION ledger_next() RETURNS bigint STABLE
    RETURN pg_snapshot_xmax(pg_current_snapshot())::text::bigint + ledger_base();
"""

TABLES = """
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    casino_id integer,
    actor text NOT NULL,
    action text NOT NULL,
    reason text,
    before jsonb,
    after jsonb,
    xact bigint NOT NULL DEFAULT ledger_xact()
);
CREATE TABLE seals (
    n bigint PRIMARY KEY,
    format integer NOT NULL,
    lower bigint NOT NULL,
    upper bigint NOT NULL,
    first bigint NOT NULL,
    count bigint NOT NULL,
    root bytea NOT NULL,
    leaves bytea NOT NULL,
    prev bytea NOT NULL,
    at timestamptz NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT seals_range CHECK (lower < upper AND count > 0)
);
ALTER TABLE seals ALTER leaves SET STORAGE EXTERNAL;
CREATE TABLE laws (
    name text PRIMARY KEY,
    holds boolean,
    since timestamptz NOT NULL,
    checked_at timestamptz NOT NULL,
    full_at timestamptz,
    took_ms integer NOT NULL,
    reach bigint,
    reach_at timestamptz,
    faults integer NOT NULL,
    error text
);
CREATE TABLE breaches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    law text NOT NULL,
    began_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    ended_at timestamptz,
    faults integer NOT NULL,
    evidence jsonb NOT NULL
);
CREATE UNIQUE INDEX breaches_open ON breaches (law) WHERE ended_at IS NULL;
-- What the laws look at since they last did.
CREATE INDEX bets_updated ON bets USING brin (updated_at) WITH (autosummarize = on);
CREATE INDEX audit_xact ON audit USING brin (xact)
    WITH (pages_per_range = 16, autosummarize = on);
"""

COLUMN = """
ALTER TABLE {table} ADD COLUMN xact bigint NOT NULL DEFAULT ledger_xact();
CREATE INDEX {table}_xact ON {table} USING brin (xact)
    WITH (pages_per_range = 16, autosummarize = on);
"""

# Seals come one behind the other; nobody writes into the past, or changes what stands.
GUARDS = """
CREATE FUNCTION seals_follow() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last record;
BEGIN
    SELECT n, upper, first + count AS next, hash INTO last FROM seals ORDER BY n DESC LIMIT 1;
    IF FOUND AND (new.n, new.lower, new.first, new.prev)
            IS DISTINCT FROM (last.n + 1, last.upper, last.next, last.hash)
        OR NOT FOUND AND (new.n, new.lower, new.first) IS DISTINCT FROM (1, 0, 0)
    THEN
        RAISE EXCEPTION 'seal % does not follow the last one', new.n
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER seals_follow BEFORE INSERT ON seals
    FOR EACH ROW EXECUTE FUNCTION seals_follow();
CREATE TRIGGER seals_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON seals
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER audit_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
"""

GRANTS = """
GRANT SELECT ON audit, seals TO PUBLIC;
GRANT INSERT (casino_id, actor, action, reason, before, after) ON audit TO fairhouse_ledger;
GRANT INSERT ON seals TO fairhouse_ledger;
"""
# All columns but the transaction's number: that one is always the true one.
NARROWER = """
REVOKE INSERT ON transfers, entries FROM fairhouse_ledger;
GRANT INSERT (id, casino_id, type, reference, reverses, hold_id, description, extra, at)
    ON transfers TO fairhouse_ledger;
GRANT INSERT (account_id, version, transfer_id, amount, before, after, at)
    ON entries TO fairhouse_ledger;
"""
WIDER = "GRANT INSERT ON transfers, entries TO fairhouse_ledger"

REBASE = """
CREATE FUNCTION ledger_rebase() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE known bigint; due bigint := ledger_next();
BEGIN
    SELECT max(xact) INTO known FROM (
        SELECT max(xact) AS xact FROM requests WHERE xact >= due UNION ALL
        SELECT max(xact) FROM transfers WHERE xact >= due UNION ALL
        SELECT max(xact) FROM entries WHERE xact >= due UNION ALL
        SELECT max(xact) FROM audit WHERE xact >= due UNION ALL
        SELECT max(upper) - 1 FROM seals WHERE upper > due
    ) AS written;
    IF known IS NULL THEN
        RETURN 0;
    END IF;
    due := known + 1 - due;
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION ledger_base() RETURNS bigint STABLE RETURN %s::bigint',
        ledger_base() + due
    );
    RETURN due;
END $$;
"""

BOOKS = "SET LOCAL ROLE fairhouse_books"


def upgrade() -> None:
    op.execute(NUMBERS)
    op.execute(TABLES)
    op.execute(COLUMN.format(table="requests"))
    op.execute(GUARDS)
    op.execute(GRANTS)
    op.execute(REBASE)
    for table in ("audit", "seals"):
        op.execute(f"ALTER TABLE {table} OWNER TO fairhouse_books")
    op.execute(BOOKS)
    for table in ("transfers", "entries"):
        op.execute(COLUMN.format(table=table))
    op.execute(NARROWER)
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute(BOOKS)
    op.execute(WIDER)
    for table in ("transfers", "entries"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN xact")
    for table in ("audit", "seals"):
        op.execute(f"DROP TABLE {table}")
    op.execute("RESET ROLE")
    op.execute("ALTER TABLE requests DROP COLUMN xact")
    op.execute("DROP INDEX bets_updated")
    for table in ("laws", "breaches"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION seals_follow, ledger_rebase, ledger_next, ledger_horizon")
    op.execute("DROP FUNCTION ledger_xact, ledger_base")
