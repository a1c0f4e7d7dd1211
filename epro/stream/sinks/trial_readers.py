"""What lets a data manager's tools read the trial database and change nothing, as the SQL of each engine. Pure."""

from __future__ import annotations

from sqlalchemy.engine import make_url

from epro.db import driver_url

POSTGRESQL = """\
CREATE ROLE {role} NOLOGIN;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
-- what the sink makes later, as the user it connects as
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {role};
-- and for each person or tool: CREATE ROLE name LOGIN PASSWORD '...' IN ROLE {role};
"""
MYSQL = """\
CREATE USER IF NOT EXISTS {role} IDENTIFIED BY RANDOM PASSWORD;
GRANT SELECT ON {database}.* TO {role};
"""
MARIADB = """\
-- put a password in the place of the dots
CREATE USER IF NOT EXISTS {role} IDENTIFIED BY '...';
GRANT SELECT ON {database}.* TO {role};
"""
SQLITE = """\
-- SQLite knows no roles: the file's own rights say who reads. {role} as a group of the machine:
--   chgrp {role} {database} && chmod 640 {database}
-- and open it as file:{database}?mode=ro
"""


def reader_script(url: str, role: str) -> str:
    """The script, for the engine of this URL; run as the user that the sink connects as."""
    made = make_url(driver_url(url))
    kind = made.get_backend_name()
    database = made.database or ""
    if kind == "postgresql":
        return POSTGRESQL.format(role=_quoted(role, '"'))
    if kind in ("mysql", "mariadb"):
        script = MYSQL if kind == "mysql" else MARIADB
        return script.format(role=_quoted(role, "'"), database=_quoted(database, "`"))
    return SQLITE.format(role=role, database=database)


def _quoted(name: str, mark: str) -> str:
    return mark + name.replace(mark, mark * 2) + mark
