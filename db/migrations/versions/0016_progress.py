"""Progress of bonuses follows the wagers that were counted, as balances follow entries."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Nobody sets what is done: it moves with wagers alone, also down, by a settlement taken back.
# Late returns only come. See `books_stay` in 0007.
COUNTING = """
CREATE FUNCTION wagers_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE grants g SET done_bp = g.done_bp + w.counted_bp
    FROM (SELECT grant_id, sum(counted_bp) AS counted_bp FROM written GROUP BY grant_id) w
    WHERE g.id = w.grant_id AND w.counted_bp <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER wagers_count AFTER INSERT ON wagers REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION wagers_count();
CREATE TRIGGER grants_progress BEFORE UPDATE ON grants
    FOR EACH ROW WHEN (new.done_bp <> old.done_bp AND pg_trigger_depth() = 0)
    EXECUTE FUNCTION books_stay();
CREATE TRIGGER late_returns_grow BEFORE UPDATE ON late_returns
    FOR EACH ROW WHEN (new.grant_id <> old.grant_id OR new.amount < old.amount)
    EXECUTE FUNCTION books_stay();
"""

# For who cannot wait any longer, as `books_free` in 0008: but once one of them stays locked, the
# others are not waited for, as one counter keeps many.
FREE = """
CREATE FUNCTION grants_free(ids bigint[]) RETURNS TABLE (id bigint, done_bp numeric)
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE mine bigint[]; one bigint;
BEGIN
    mine := ARRAY(SELECT g.id FROM grants g WHERE g.id = ANY(ids)
        ORDER BY g.id FOR NO KEY UPDATE SKIP LOCKED);
    FOR one IN SELECT n FROM unnest(ids) n WHERE n <> ALL(mine) ORDER BY n LOOP
        BEGIN
            PERFORM FROM grants g WHERE g.id = one FOR NO KEY UPDATE;
            mine := mine || one;
        EXCEPTION WHEN lock_not_available THEN EXIT;
        END;
    END LOOP;
    RETURN QUERY SELECT g.id, g.done_bp FROM grants g WHERE g.id = ANY(mine);
END $$;
"""

# For the law: what ended lately, and what counted for it.
INDEXES = """
CREATE INDEX wagers_of_grant ON wagers (grant_id);
CREATE INDEX grants_over ON grants (ended_at) WHERE ended_at IS NOT NULL;
"""


def upgrade() -> None:
    for script in (COUNTING, FREE, INDEXES):
        op.execute(script)


def downgrade() -> None:
    op.execute("DROP INDEX wagers_of_grant, grants_over")
    op.execute("DROP FUNCTION grants_free")
    op.execute("DROP TRIGGER late_returns_grow ON late_returns")
    op.execute("DROP TRIGGER grants_progress ON grants")
    op.execute("DROP TRIGGER wagers_count ON wagers")
    op.execute("DROP FUNCTION wagers_count")
