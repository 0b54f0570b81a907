"""What was decided ahead is written if all is as it was foreseen: the database compares itself."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Accounts are told as `ledger.known` tells them.
FORESEEN = """
CREATE FUNCTION books_foreseen(
    ids bigint[], states text, moment timestamptz, near interval
) RETURNS timestamptz LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE told text; at timestamptz;
BEGIN
    SELECT string_agg(concat_ws(' ', id, version, balance, held, coalesce(least::text, '-'),
        coalesce(most::text, '-'), closed_at IS NOT NULL,
        coalesce((extract(epoch FROM posted_at) * 1000000)::bigint::text, '-')), ';')
    INTO told FROM (SELECT * FROM accounts WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE) a;
    at := clock_timestamp();
    IF told IS DISTINCT FROM states OR at NOT BETWEEN moment - near AND moment + near THEN
        RAISE EXCEPTION 'the accounts are not as foreseen' USING ERRCODE = 'FH001';
    END IF;
    RETURN at;
END $$;
"""
NOTHING = """
CREATE FUNCTION unforeseen(rows bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF rows > 0 THEN
        RAISE EXCEPTION 'there is what was not foreseen' USING ERRCODE = 'FH001';
    END IF;
END $$;
"""


CALL = "books_foreseen(bigint[], text, timestamptz, interval)"


def upgrade() -> None:
    migrator = op.get_bind().exec_driver_sql("SELECT quote_ident(current_user)").scalar()
    op.execute("GRANT CREATE ON SCHEMA public TO fairhouse_ledger")
    op.execute(FORESEEN)
    op.execute(f"ALTER FUNCTION {CALL} OWNER TO fairhouse_ledger")
    op.execute("REVOKE CREATE ON SCHEMA public FROM fairhouse_ledger")
    # Granted before, it would go over to the new owner with the function.
    op.execute("SET LOCAL ROLE fairhouse_ledger")
    op.execute(f"REVOKE EXECUTE ON FUNCTION {CALL} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {CALL} TO {migrator}")
    op.execute("RESET ROLE")
    op.execute(NOTHING)


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {CALL}")
    op.execute("DROP FUNCTION unforeseen")
