"""Every insert into the outbox wakes whoever listens on the channel of that name."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION outbox_wakes() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('outbox', '');
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER outbox_wakes AFTER INSERT ON outbox
        FOR EACH STATEMENT EXECUTE FUNCTION outbox_wakes()
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER outbox_wakes ON outbox")
    op.execute("DROP FUNCTION outbox_wakes()")
