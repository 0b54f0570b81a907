"""The books are read and written by two calls, each a single statement on the wire.

A batch used to be a dozen statements. The functions do what the ledger's role may do and no more;
whoever migrates may call them, as it could become that role before.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LOCKED = """
CREATE FUNCTION books_locked(ids bigint[]) RETURNS TABLE (
    id bigint, balance numeric, held numeric, version bigint, "least" numeric, "most" numeric,
    posted_at timestamptz, closed boolean, now timestamptz
) LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.id, a.balance, a.held, a.version, a."least", a.most, a.posted_at,
        a.closed_at IS NOT NULL, clock_timestamp()
    FROM (
        SELECT * FROM accounts WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE
    ) a
$$
"""

# For who cannot wait any longer: rows that somebody else keeps are left out. Waiting a moment for
# each, out of order, cannot end in a deadlock, as it ends before one is looked for.
FREE = """
CREATE FUNCTION books_free(ids bigint[]) RETURNS TABLE (
    id bigint, balance numeric, held numeric, version bigint, "least" numeric, "most" numeric,
    posted_at timestamptz, closed boolean, now timestamptz
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET lock_timeout = '100ms' AS $$
DECLARE mine bigint[]; one bigint;
BEGIN
    mine := ARRAY(SELECT a.id FROM accounts a WHERE a.id = ANY(ids)
        ORDER BY a.id FOR NO KEY UPDATE SKIP LOCKED);
    FOR one IN SELECT n FROM unnest(ids) n WHERE n <> ALL(mine) ORDER BY n LOOP
        BEGIN
            PERFORM FROM accounts a WHERE a.id = one FOR NO KEY UPDATE;
            mine := mine || one;
        EXCEPTION WHEN lock_not_available THEN NULL;
        END;
    END LOOP;
    RETURN QUERY SELECT a.id, a.balance, a.held, a.version, a."least", a.most, a.posted_at,
        a.closed_at IS NOT NULL, clock_timestamp() FROM accounts a WHERE a.id = ANY(mine);
END $$
"""

WRITTEN = """
CREATE FUNCTION books_written(
    transfer_ids bigint[], casinos int[], types text[], refs text[], reversed bigint[],
    captured bigint[], descriptions text[], extras jsonb[], times timestamptz[],
    accounts bigint[], versions bigint[], of_transfers bigint[], amounts numeric[],
    befores numeric[], afters numeric[], entry_times timestamptz[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO transfers
        (id, casino_id, type, reference, reverses, hold_id, description, extra, at)
    SELECT * FROM unnest(transfer_ids, casinos, types, refs, reversed, captured, descriptions,
        extras, times);
    INSERT INTO entries (account_id, version, transfer_id, amount, before, after, at)
    SELECT * FROM unnest(accounts, versions, of_transfers, amounts, befores, afters, entry_times);
END $$
"""

MADE = """
CREATE FUNCTION books_held(
    ids bigint[], casinos int[], accounts bigint[], amounts numeric[], remainders numeric[],
    states text[], refs text[], expiries timestamptz[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO holds (id, casino_id, account_id, amount, remaining, state, reference, expires_at,
        at, ended_at)
    SELECT n.*, now(), CASE WHEN n.state <> 'open' THEN now() END
    FROM unnest(ids, casinos, accounts, amounts, remainders, states, refs, expiries)
        AS n(id, casino_id, account_id, amount, remaining, state, reference, expires_at);
END $$
"""

MOVED = """
CREATE FUNCTION books_freed(
    ended timestamptz, ids bigint[], remainders numeric[], states text[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE holds h SET remaining = n.remaining, state = n.state,
        ended_at = CASE WHEN n.state <> 'open' THEN ended END
    FROM unnest(ids, remainders, states) AS n(id, remaining, state) WHERE h.id = n.id;
END $$
"""

CALLS = {
    "books_locked(bigint[])": LOCKED,
    "books_free(bigint[])": FREE,
    "books_written(bigint[], int[], text[], text[], bigint[], bigint[], text[], jsonb[],"
    " timestamptz[], bigint[], bigint[], bigint[], numeric[], numeric[], numeric[],"
    " timestamptz[])": WRITTEN,
    "books_held(bigint[], int[], bigint[], numeric[], numeric[], text[], text[],"
    " timestamptz[])": MADE,
    "books_freed(timestamptz, bigint[], numeric[], text[])": MOVED,
}


def upgrade() -> None:
    migrator = op.get_bind().exec_driver_sql("SELECT quote_ident(current_user)").scalar()
    op.execute("GRANT CREATE ON SCHEMA public TO fairhouse_ledger")
    for call, script in CALLS.items():
        op.execute(script)
        op.execute(f"ALTER FUNCTION {call} OWNER TO fairhouse_ledger")
    op.execute("REVOKE CREATE ON SCHEMA public FROM fairhouse_ledger")
    # Granted before, it would go over to the new owner with the function.
    op.execute("SET LOCAL ROLE fairhouse_ledger")
    for call in CALLS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION {call} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {call} TO {migrator}")
    op.execute("RESET ROLE")


def downgrade() -> None:
    for call in CALLS:
        op.execute(f"DROP FUNCTION {call}")
