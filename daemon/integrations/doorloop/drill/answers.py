"""The vendor's fixed answers: errors, its HTML pages, and who the key belongs to (DoorLoop fact sheet §2, §3, §9)."""

from __future__ import annotations

from typing import Any

from .wire import HTML, Response, json_response


def error(status: int, message: str, code: str | None = None) -> Response:
    """Return a JSON error in the assumed form: message, status, and a code where the vendor names one."""
    body: dict[str, Any] = {"message": message, "status": status}
    if code:
        body["code"] = code
    return json_response(status, body)


def unauthorized() -> Response:
    """Return the answer to a missing, wrong or expired key."""
    return error(401, "Unauthorized: the API key is missing, wrong or expired.")


def not_allowed() -> Response:
    """Return the answer to a key whose role may not use this resource or method: 405, as the vendor documents."""
    return error(405, "You do not have access to this resource.", "METHOD_NOT_ALLOWED")


def rate_limited(retry_after: str | None) -> Response:
    """Return 429, with a Retry-After header unless it is None."""
    response = error(429, "Rate limit exceeded.", "RATE_LIMIT_EXCEEDED")
    if retry_after is not None:
        response.headers.append(("Retry-After", retry_after))
    return response


def html(title: str, text: str, status: int = 200) -> Response:
    """Return a small HTML page."""
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<title>{title}</title></head><body><div id="root"><h1>{title}</h1><p>{text}</p></div></body></html>\n'
    )
    return Response(status, page.encode(), HTML)


def app_page() -> Response:
    """Return what the application's host serves outside /api: the web application, with status 200."""
    return html("DoorLoop", "You need to enable JavaScript to run this app.")


def docs_page() -> Response:
    """Return what the documentation's host serves for any path."""
    return html("DoorLoop API Reference", "Welcome to the documentation. Get started with your first request.")


def login_page() -> Response:
    """Return a login page."""
    return html("Log in to DoorLoop", '<form action="/login"><input name="email"><input type="password"></form>')


def proxy_error(status: int, reason: str) -> Response:
    """Return the HTML page of a proxy in front of a vendor in trouble."""
    return html(f"{status} {reason}", "The server could not complete your request. cloudflare", status)


def identity(seed: int, account: int) -> dict[str, Any]:
    """Return users/me for an account of this drill; account 1 is the true one."""
    number = f"{seed % 0xFFFF:04x}{account:04x}"
    return {
        "id": f"5c2a9e7f{number:0>16}",
        "firstName": "Dana",
        "lastName": f"Drill {account}",
        "name": f"Dana Drill {account}",
        "fullName": f"Dana Drill {account}",
        "email": f"dana.drill.{number}@example.com",
        "role": "ADMIN",
        "active": True,
        "company": {"id": f"5c2a9e70{number:0>16}", "name": f"Drill Property Management {account}"},
        "timezone": "America/New_York",
        "createdAt": "2018-12-31T12:00:00.000Z",
        "updatedAt": "2025-01-01T12:00:00.000Z",
    }
