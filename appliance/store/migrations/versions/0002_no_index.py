"""Records are found by machine through the log's own memory: the index cost more than all the rest of a commit."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("records_by_machine", "records")


def downgrade() -> None:
    op.create_index("records_by_machine", "records", ["machine", "seq"])
