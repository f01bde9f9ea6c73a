"""What a user would write instead: requests, json and executemany, a commit a page. No law, no telemetry.

``python plain_loop.py URL DATABASE_URL PAGE_SIZE``; the last line on stdout is how many seconds the copying took.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import psycopg
import requests

FIELDS = {
    "id": "text PRIMARY KEY",
    "firstName": "text",
    "middleName": "text",
    "lastName": "text",
    "name": "text",
    "fullName": "text",
    "gender": "text",
    "dateOfBirth": "date",
    "timezone": "text",
    "company": "boolean",
    "companyName": "text",
    "jobTitle": "text",
    "notes": "text",
    "phones": "jsonb",
    "emails": "jsonb",
    "primaryAddress": "jsonb",
    "type": "text",
    "active": "boolean",
    "e164PhoneMobileNumber": "text",
    "portalInfo": "jsonb",
    "prospectInfo": "jsonb",
    "stripeCustomerId": "text",
    "acceptedOnTOS": "text",
    "createdAt": "timestamptz",
    "updatedAt": "timestamptz",
    "createdBy": "text",
    "updatedBy": "text",
}
NAMES = ", ".join(f'"{name}"' for name in FIELDS)
UPSERT = (
    f"INSERT INTO plain_tenants ({NAMES}) VALUES ({', '.join(['%s'] * len(FIELDS))}) ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f'"{name}" = excluded."{name}"' for name in FIELDS if name != "id")
)


def as_row(record: dict[str, Any]) -> list[Any]:
    """The record's values in the table's order."""
    values = [record.get(name) for name in FIELDS]
    return [json.dumps(value) if isinstance(value, dict | list) else value for value in values]


def main(url: str, database_url: str, page_size: int) -> None:
    """Copy every page."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in FIELDS.items())
    with psycopg.connect(database_url) as link, requests.Session() as session:
        link.execute(f"CREATE TABLE IF NOT EXISTS plain_tenants ({columns})")
        link.commit()
        started = time.monotonic()
        number = 1
        while True:
            answer = session.get(f"{url}/tenants", params={"page_number": str(number), "page_size": str(page_size)})
            answer.raise_for_status()
            records = answer.json()["data"]
            if not records:
                break
            with link.cursor() as cursor:
                cursor.executemany(UPSERT, [as_row(record) for record in records])
            link.commit()
            number += 1
    sys.stdout.write(f"{time.monotonic() - started:.3f}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
