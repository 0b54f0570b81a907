"""The ledger: entries are the truth, balances follow from them, and no statement breaks the laws.

Two roles come with it, for the whole server: `fairhouse_books` owns the tables, `fairhouse_ledger`
may add to them, and whoever migrates may become either, but has no right of its own to write.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROLES = """
DO $$
DECLARE role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['fairhouse_books', 'fairhouse_ledger'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
        IF NOT pg_has_role(current_user, role, 'SET') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT FALSE, SET TRUE', role);
        END IF;
    END LOOP;
END $$
"""

TABLES = """
CREATE TABLE assets (
    id text PRIMARY KEY,
    symbol text NOT NULL,
    scale integer NOT NULL CHECK (scale BETWEEN 0 AND 36)
);
CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    casino_id integer NOT NULL,
    name text NOT NULL,
    asset text NOT NULL,
    colour text NOT NULL,
    balance numeric(78, 0) NOT NULL DEFAULT 0,
    held numeric(78, 0) NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    least numeric(78, 0),
    most numeric(78, 0),
    opened_at timestamptz NOT NULL DEFAULT now(),
    posted_at timestamptz,
    closed_at timestamptz,
    UNIQUE (casino_id, name, asset),
    CONSTRAINT accounts_held CHECK (held >= 0),
    CONSTRAINT accounts_least CHECK (balance - held >= least),
    CONSTRAINT accounts_most CHECK (balance <= most)
) WITH (fillfactor = 50);
CREATE TABLE transfers (
    id bigint PRIMARY KEY,
    casino_id integer NOT NULL,
    type text NOT NULL,
    reference text,
    reverses bigint,
    hold_id bigint,
    description text,
    extra jsonb,
    at timestamptz NOT NULL
);
CREATE UNIQUE INDEX transfers_reference ON transfers (casino_id, reference, type)
    WHERE reference IS NOT NULL;
CREATE UNIQUE INDEX transfers_reverses ON transfers (reverses) WHERE reverses IS NOT NULL;
CREATE TABLE entries (
    account_id bigint NOT NULL,
    version bigint NOT NULL,
    transfer_id bigint NOT NULL,
    amount numeric(78, 0) NOT NULL,
    before numeric(78, 0) NOT NULL,
    after numeric(78, 0) NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account_id, version),
    CONSTRAINT entries_amount CHECK (amount <> 0),
    CONSTRAINT entries_after CHECK (after = before + amount),
    CONSTRAINT entries_version CHECK (version > 0)
);
CREATE INDEX entries_of_transfer ON entries (transfer_id);
CREATE TABLE holds (
    id bigint PRIMARY KEY,
    casino_id integer NOT NULL,
    account_id bigint NOT NULL,
    amount numeric(78, 0) NOT NULL,
    remaining numeric(78, 0) NOT NULL,
    state text NOT NULL,
    reference text,
    expires_at timestamptz,
    at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT holds_remaining CHECK (amount > 0 AND remaining BETWEEN 0 AND amount),
    CONSTRAINT holds_state CHECK ((state = 'open') = (remaining > 0))
);
CREATE INDEX holds_open ON holds (account_id) WHERE state = 'open';
CREATE INDEX holds_expiring ON holds (expires_at) WHERE state = 'open';
CREATE TABLE requests (
    scope text NOT NULL,
    key text NOT NULL,
    casino_id integer NOT NULL,
    verb text NOT NULL,
    actor text NOT NULL,
    fingerprint bytea NOT NULL,
    code text,
    answer jsonb NOT NULL,
    facts jsonb,
    transfer_id bigint,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
-- Every number is the first of ten thousand: a process asks once and counts on by itself.
CREATE SEQUENCE ledger_numbers INCREMENT BY 10000;
"""

# Entries must belong to a transfer, sum to nothing per transfer, asset and colour, and go on where
# their accounts stand; then the accounts follow. Transition tables make it one pass per statement.
POST = """
CREATE FUNCTION entries_post() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong record; followed bigint; named bigint;
BEGIN
    SELECT w.transfer_id, a.asset, a.colour INTO wrong
    FROM written w JOIN accounts a ON a.id = w.account_id
    GROUP BY w.transfer_id, a.asset, a.colour HAVING sum(w.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transfer % does not sum to zero in % %', wrong.transfer_id,
            wrong.asset, wrong.colour USING ERRCODE = 'check_violation';
    END IF;
    SELECT w.transfer_id INTO wrong FROM written w
    WHERE NOT EXISTS (SELECT FROM transfers t WHERE t.id = w.transfer_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'there is no transfer %', wrong.transfer_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    WITH links AS (
        SELECT account_id, version, amount, before, at,
            lag(version) OVER own AS version_before, lag(after) OVER own AS after_before
        FROM written WINDOW own AS (PARTITION BY account_id ORDER BY version)
    ), ends AS (
        SELECT account_id, min(version) AS first, max(version) AS last, max(at) AS at,
            min(before) FILTER (WHERE version_before IS NULL) AS opening, sum(amount) AS change,
            bool_and(version_before IS NULL
                OR version = version_before + 1 AND before = after_before) AS linked
        FROM links GROUP BY account_id
    ), moved AS (
        UPDATE accounts a
        SET balance = ends.opening + ends.change, version = ends.last, posted_at = ends.at
        FROM ends WHERE a.id = ends.account_id AND ends.linked AND a.version = ends.first - 1
            AND a.balance = ends.opening AND a.closed_at IS NULL
        RETURNING a.id
    )
    SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM ends) INTO followed, named;
    IF followed <> named THEN
        RAISE EXCEPTION 'entries do not go on where % of % accounts stand', named - followed, named
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entries_post AFTER INSERT ON entries REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION entries_post();
"""

HOLD = """
CREATE FUNCTION holds_made() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE followed bigint; named bigint;
BEGIN
    UPDATE accounts a SET held = a.held + w.held
    FROM (SELECT account_id, sum(remaining) AS held FROM written GROUP BY account_id) w
    WHERE a.id = w.account_id AND a.closed_at IS NULL;
    GET DIAGNOSTICS followed = ROW_COUNT;
    SELECT count(DISTINCT account_id) INTO named FROM written;
    IF followed <> named THEN
        RAISE EXCEPTION 'holds on accounts that are not open' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION holds_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM earlier o FULL JOIN written w USING (id)
        WHERE (w.casino_id, w.account_id, w.amount, w.at)
            IS DISTINCT FROM (o.casino_id, o.account_id, o.amount, o.at)
            OR w.remaining > o.remaining OR o.state <> 'open'
    ) THEN
        RAISE EXCEPTION 'a hold only shrinks, and ends once' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE accounts a SET held = a.held - w.freed
    FROM (
        SELECT account_id, sum(o.remaining - w.remaining) AS freed
        FROM earlier o JOIN written w USING (id, account_id) GROUP BY account_id
    ) w
    WHERE a.id = w.account_id AND w.freed <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER holds_made AFTER INSERT ON holds REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION holds_made();
CREATE TRIGGER holds_moved AFTER UPDATE ON holds
    REFERENCING OLD TABLE AS earlier NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION holds_moved();
"""

# For everybody, owners and superusers too: what was written stays, and balances are never set.
GUARDS = """
CREATE FUNCTION books_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is never allowed', lower(TG_OP), TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER transfers_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER requests_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON requests
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER holds_stay BEFORE DELETE OR TRUNCATE ON holds
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER accounts_stay BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION books_stay();
CREATE TRIGGER accounts_follow
    BEFORE UPDATE OF id, casino_id, name, asset, colour, balance, held, version ON accounts
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION books_stay();
CREATE FUNCTION accounts_begin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM written WHERE balance <> 0 OR held <> 0 OR version <> 0) THEN
        RAISE EXCEPTION 'an account begins with nothing' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_begin AFTER INSERT ON accounts REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_begin();
"""

GRANTS = """
GRANT SELECT ON assets, accounts, transfers, entries, holds TO PUBLIC;
GRANT INSERT ON transfers, entries, holds TO fairhouse_ledger;
GRANT INSERT (casino_id, name, asset, colour, least, most),
    UPDATE (balance, held, version, least, most, posted_at, closed_at)
    ON accounts TO fairhouse_ledger;
GRANT UPDATE (remaining, state, ended_at) ON holds TO fairhouse_ledger;
GRANT USAGE ON SEQUENCE ledger_numbers TO fairhouse_ledger;
GRANT CREATE ON SCHEMA public TO fairhouse_books;
"""

OWNED = ("TABLE accounts", "TABLE transfers", "TABLE entries", "TABLE holds")


def upgrade() -> None:
    for script in (ROLES, TABLES, POST, HOLD, GUARDS, GRANTS):
        op.execute(script)
    for owned in OWNED:
        op.execute(f"ALTER {owned} OWNER TO fairhouse_books")


def downgrade() -> None:
    for table in ("requests", "holds", "entries", "transfers", "accounts", "assets"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE ledger_numbers")
    for function in ("entries_post", "holds_made", "holds_moved", "books_stay", "accounts_begin"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("REVOKE CREATE ON SCHEMA public FROM fairhouse_books")
