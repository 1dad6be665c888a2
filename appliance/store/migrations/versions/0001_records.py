"""The append-only sequence of records."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "records",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("machine", sa.String, nullable=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("records_by_machine", "records", ["machine", "seq"])


def downgrade() -> None:
    op.drop_table("records")
