"""Tokens by period, user and model, from the answers that Open WebUI stores. It only reads.

Open WebUI's own interface (/api/v1/analytics) counts by user or by model and day, never by all
three, so this reads its database. An answer's row in `chat_message` has the tokens in `usage`,
under the names that Open WebUI 0.12.4 sums up (backend/open_webui/models/chat_messages.py), and
goes with its chat. Neither questions nor answers are read.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from webui.errors import WebuiError
from webui.service import find_volume

DATABASE = "webui.db"
# What SQLite makes of a moment: a day, the Monday of its week, a month. All are UTC.
PERIODS = {
    "day": "date(at, 'unixepoch')",
    "week": "date(at, 'unixepoch', 'weekday 0', '-6 days')",
    "month": "strftime('%Y-%m', at, 'unixepoch')",
}
# A program that signs in as a user can store any number: with these limits no sum overflows.
TOKENS = (
    "sum(max(0, min(1000000000, CAST(coalesce(usage ->> '{0}', usage ->> '{1}', 0) AS INTEGER))))"
)
# Browsers send the time, some in milliseconds.
QUERY = """
WITH answers AS (
    SELECT user_id, model_id,
        CASE WHEN created_at > 10000000000 THEN created_at / 1000 ELSE created_at END AS at,
        CASE WHEN json_valid(usage) THEN usage END AS usage
    FROM chat_message WHERE role = 'assistant'
)
SELECT {period} AS period, "user".email AS email, "user".name AS name, model_id AS model,
    count(*) AS answers,
    {input} AS input_tokens, {output} AS output_tokens
FROM answers LEFT JOIN "user" ON "user".id = user_id
WHERE at >= :since AND at < :until
GROUP BY period, user_id, model_id
ORDER BY period, input_tokens + output_tokens DESC, email, model_id
"""


def read_usage(by: str, since: int, until: int) -> list[dict[str, Any]]:
    """A row for each period, user and model; the times are in seconds since 1970.

    `email` and `name` are None for an answer in the name of an account that does not exist.

    Raises:
        WebuiError: there is no database, or it has another form than in the pinned version.
    """
    volume = find_volume()
    if volume is None or not (volume / DATABASE).exists():
        raise WebuiError("it has no database yet.")
    query = QUERY.format(
        period=PERIODS[by],
        input=TOKENS.format("input_tokens", "prompt_tokens"),
        output=TOKENS.format("output_tokens", "completion_tokens"),
    )
    try:
        return rows_of(volume / DATABASE, query, since, until)
    except sqlite3.Error as problem:
        raise WebuiError(f"its database has no usage that can be read: {problem}.") from problem


def rows_of(database: Path, query: str, since: int, until: int) -> list[dict[str, Any]]:
    uri = f"{database.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=60)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query, {"since": since, "until": until})]
