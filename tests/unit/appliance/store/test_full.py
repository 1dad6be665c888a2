"""A database without room: its own words reach people, what was to be written does not."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from appliance.store.log import unwritten
from tests.failures import scene_of


def test_a_full_database() -> None:
    with create_engine("sqlite://").connect() as connection:
        connection.execute(text("PRAGMA max_page_count = 2"))
        connection.execute(text("CREATE TABLE records (body TEXT)"))
        with pytest.raises(OperationalError) as caught:
            connection.execute(text("INSERT INTO records VALUES (:body)"), {"body": "canary" * 10_000})
    error, shown = unwritten(caught.value), scene_of("disk-full").condition
    assert (shown.reason, shown.evidence, shown.next_action) == (str(error), error.evidence, error.next_action)
    assert "canary" not in error.evidence
