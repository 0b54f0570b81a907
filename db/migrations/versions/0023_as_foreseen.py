"""What was decided ahead is written if all is as it was foreseen: the database compares itself."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Accounts are told as `ledger.posting` tells them.
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


def upgrade() -> None:
    op.execute(FORESEEN)
    op.execute(NOTHING)


def downgrade() -> None:
    op.execute("DROP FUNCTION books_foreseen")
    op.execute("DROP FUNCTION unforeseen")
