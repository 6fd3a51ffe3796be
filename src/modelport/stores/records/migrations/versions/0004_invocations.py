"""The queue of asynchronous requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_name = sa.String(160).with_variant(sa.String(160, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "invocations",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("endpoint", _name, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("invocations_of_endpoint", "invocations", ["endpoint", "number"])


def downgrade() -> None:
    op.drop_table("invocations")
