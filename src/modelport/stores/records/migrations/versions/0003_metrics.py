"""Metrics by minutes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metric_series",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("namespace", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("dimensions", sa.Text, nullable=False),
        sa.Column("seen_count", sa.Float, nullable=False),
        sa.Column("seen_total", sa.Float, nullable=False),
    )
    op.create_table(
        "metric_samples",
        sa.Column("series", sa.String(64), primary_key=True),
        sa.Column("minute", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("count", sa.Float, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
        sa.Column("least", sa.Float, nullable=False),
        sa.Column("most", sa.Float, nullable=False),
    )
    op.create_index("metric_samples_age", "metric_samples", ["minute"])


def downgrade() -> None:
    op.drop_table("metric_samples")
    op.drop_table("metric_series")
