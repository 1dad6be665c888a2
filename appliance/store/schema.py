"""The tables. A change here needs a revision in `migrations/versions`."""

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text

metadata = MetaData()

records = Table(
    "records",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("time", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("machine", String, nullable=True),
    Column("body", Text, nullable=False),
)
