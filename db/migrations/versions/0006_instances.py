"""Heartbeats stand for instances, not kinds of process; old outbox rows are found by index."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A heartbeat is of the moment: whoever lives beats again in two seconds.
    op.execute("DELETE FROM heartbeats")
    op.add_column("heartbeats", sa.Column("host", sa.Text(), nullable=False))
    op.drop_constraint("heartbeats_pkey", "heartbeats")
    op.create_primary_key("heartbeats_pkey", "heartbeats", ["process", "host", "pid"])
    op.create_index(
        "outbox_published",
        "outbox",
        ["published_at"],
        postgresql_where=sa.text("published_at is not null"),
    )


def downgrade() -> None:
    op.drop_index("outbox_published", "outbox")
    op.execute("DELETE FROM heartbeats")
    op.drop_constraint("heartbeats_pkey", "heartbeats")
    op.drop_column("heartbeats", "host")
    op.create_primary_key("heartbeats_pkey", "heartbeats", ["process"])
