"""Statements: where an account stood at a moment, found by halving over the entries' own key."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# An account's entries are numbered without gaps, and later ones are never earlier in time. So the
# last one up to a moment takes about twenty looks into the primary key for a million entries, and
# no posting pays for an index over times.
VERSION_AT = """
CREATE FUNCTION version_at(account bigint, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE low bigint := 0; high bigint; middle bigint; newest timestamptz;
BEGIN
    SELECT version, posted_at INTO high, newest FROM accounts WHERE id = account;
    IF newest <= moment THEN
        RETURN high;
    END IF;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT at FROM entries WHERE account_id = account AND version = middle) <= moment THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;
"""


def upgrade() -> None:
    op.execute(VERSION_AT)


def downgrade() -> None:
    op.execute("DROP FUNCTION version_at")
