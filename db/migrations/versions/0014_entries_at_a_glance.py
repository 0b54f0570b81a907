"""Entries are held to the books' laws in one statement that looks up each account by its key.

They must be of transfers made with them: nothing is added to a transfer later on.
Of the three statements before it, one read all accounts there are, once for each batch. Joins
and EXISTS leave that to the planner; a LIMIT within a LATERAL or scalar subquery does not.
"""

from alembic import context, op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

POST = """
CREATE OR REPLACE FUNCTION entries_post() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE followed bigint; named bigint; unsound bigint; wrong record; mine bigint := ledger_xact();
BEGIN
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
    ), sums AS (
        SELECT w.transfer_id, sum(w.amount) AS rest
        FROM written w CROSS JOIN LATERAL (
            SELECT asset, colour FROM accounts WHERE id = w.account_id LIMIT 1
        ) a GROUP BY w.transfer_id, a.asset, a.colour
    )
    SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM ends),
        (SELECT count(*) FROM sums s WHERE s.rest <> 0
            OR (SELECT xact FROM transfers WHERE id = s.transfer_id LIMIT 1)
                IS DISTINCT FROM mine)
    INTO followed, named, unsound;
    IF unsound > 0 THEN
        SELECT w.transfer_id, a.asset, a.colour INTO wrong
        FROM written w JOIN accounts a ON a.id = w.account_id
        GROUP BY w.transfer_id, a.asset, a.colour HAVING sum(w.amount) <> 0 LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'transfer % does not sum to zero in % %', wrong.transfer_id,
                wrong.asset, wrong.colour USING ERRCODE = 'check_violation';
        END IF;
        RAISE EXCEPTION 'entries of % transfers that this transaction did not make', unsound
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF followed <> named THEN
        RAISE EXCEPTION 'entries do not go on where % of % accounts stand', named - followed, named
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    op.execute(POST)


def downgrade() -> None:
    earlier = context.script.get_revision("0007").module.POST
    function, _, _ = earlier.partition("CREATE TRIGGER")
    op.execute(function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
