"""The table of a server's jobs, in which each row is one; `jobs.Job` says what the columns mean."""

from sqlalchemy import JSON, Column, Float, Integer, MetaData, String, Table, Text

metadata = MetaData()
TABLE = Table(
    "jobs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), unique=True, nullable=False),
    Column("name", String(64), unique=True, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("model", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("about", JSON, nullable=False),
    Column("key", String(255), unique=True),
    Column("digest", String(64), nullable=False),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False, default=0),
    Column("attempt", Integer, nullable=False, default=0),
    Column("fruitless", Integer, nullable=False, default=0),
    Column("worker", String(64)),
    Column("lease_until", Float),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("expires_at", Float, index=True),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("kind", String(16), nullable=False, server_default="clip"),
    Column("started_at", Float),
    Column("started", Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,  # a number is never given twice: it is the order
)
C = TABLE.c
