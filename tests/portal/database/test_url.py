"""DATABASE_URL in Django's form."""

from typing import Any
from urllib.parse import quote

import pytest

from portal.database.url import POSTGRESQL, SQLITE, read_database_url


def database(name: str, **given: Any) -> dict[str, Any]:
    return {"ENGINE": POSTGRESQL, "NAME": name, "USER": "", "PASSWORD": "", "HOST": "", "PORT": "", **given}


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("postgres:///portal", database("portal")),
        ("postgres://u:p@h:5432/n", database("n", USER="u", PASSWORD="p", HOST="h", PORT=5432)),
        (f"postgresql://u%40x:{quote(':/', safe='')}@h/n", database("n", USER="u@x", PASSWORD=":/", HOST="h")),
        ("postgres://[::1]:5433/n", database("n", HOST="::1", PORT=5433)),
        ("postgres:////run/postgresql/n", database("n", HOST="/run/postgresql")),
        ("postgres://h1:5432,h2:5433/n", database("n", HOST="h1,h2", PORT="5432,5433")),
        ("postgres://[::1]:5,[::2]:6/n", database("n", HOST="[::1],[::2]", PORT="5,6")),
        ("postgres://h1,h2/n", database("n", HOST="h1,h2")),
        ("postgres://h/n?sslmode=require", database("n", HOST="h", OPTIONS={"sslmode": "require"})),
        ("postgres://h/n?connect_timeout=9", database("n", HOST="h", OPTIONS={"connect_timeout": 9})),
        ("postgres://h/n?conn_health_checks=True", database("n", HOST="h", OPTIONS={}, CONN_HEALTH_CHECKS=True)),
        ("sqlite:////var/p%23q.sqlite3", database("/var/p#q.sqlite3", ENGINE=SQLITE)),
        ("sqlite:///portal.sqlite3", database("portal.sqlite3", ENGINE=SQLITE)),
    ],
)
def test_a_url_is_read(url: str, read: dict[str, Any]) -> None:
    assert read_database_url(url) == read
