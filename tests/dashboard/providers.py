"""Sign-in providers for tests: a real one (oidc-provider-mock), and a wilful one that breaks the rules when told to."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.dashboard.conftest import free_port
from tests.waiting import wait_for

DISCOVERY = "/.well-known/openid-configuration"
CLIENT_SECRET = "canary-client-secret/9+z=Q"


def settings_of(**addresses: str) -> dict[str, str]:
    """The environment that names providers: key → address."""
    found = {"ICC_OIDC_PROVIDERS": ",".join(addresses)}
    for key, address in addresses.items():
        prefix = f"ICC_OIDC_{key.upper()}_"
        found |= {
            f"{prefix}DISCOVERY_URL": address + DISCOVERY,
            f"{prefix}CLIENT_ID": "icc",
            f"{prefix}CLIENT_SECRET": CLIENT_SECRET,
        }
    return found


@contextmanager
def real_provider() -> Generator[str]:
    """oidc-provider-mock as a process of its own; its address."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(address + DISCOVERY).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for(answers, "the provider answers", seconds=60)
        yield address
    finally:
        process.kill()
        process.wait(10)


def set_claims(provider: str, subject: str, **claims: object) -> None:
    """What the real provider says of somebody."""
    assert httpx.put(f"{provider}/users/{subject}", json=claims).status_code == 204


def authorize(location: str, subject: str) -> str:
    """Let somebody sign in at the real provider; the address it sends the browser back to."""
    answer = httpx.post(location, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


class Wilful:
    """A provider whose words a test chooses: ``claims`` go over the honest ones, None takes one away."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.token_answer: tuple[int, bytes] | None = None
        self.sign: str = "own"
        self.failing_status: int | None = None
        self.challenges: list[str] = []
        self._key = RSAKey.generate_key(2048, {"kid": "own"})
        self._foreign_key = RSAKey.generate_key(2048, {"kid": "own"})
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def obey(self) -> None:
        """Be honest again."""
        self.claims, self.metadata, self.token_answer, self.sign, self.failing_status = {}, {}, None, "own", None

    def close(self) -> None:
        """No more answers."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, asked: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        if self.failing_status:
            return self.failing_status, {"content-type": "text/html"}, b"<h1>Bad gateway</h1>"
        if path == DISCOVERY:
            return self._json(self._discovery() | self.metadata)
        if path == "/jwks":
            return self._json({"keys": [self._key.as_dict(private=False)]})
        if path == "/authorize":
            code = secrets.token_urlsafe(12)
            self._codes[code] = asked
            self.challenges.append(f"{asked.get('code_challenge_method')} {asked.get('code_challenge')}")
            back = urlencode({"code": code, "state": asked["state"]})
            return 302, {"location": f"{asked['redirect_uri']}?{back}"}, b""
        return self._token(asked)

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }

    def _token(self, asked: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if self.token_answer:
            return self.token_answer[0], {"content-type": "application/json"}, self.token_answer[1]
        begun = self._codes.pop(asked.get("code", ""), None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if begun is None or begun.get("code_challenge") != proof or begun["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"content-type": "application/json"}, b'{"error": "invalid_grant"}'
        now = int(time.time())
        claims = {"iss": self.address, "sub": "sub-1", "aud": "icc", "iat": now, "exp": now + 300}
        claims |= {"nonce": begun["nonce"], **self.claims}
        kept = {name: value for name, value in claims.items() if value is not None}
        return self._json({"access_token": "a", "token_type": "Bearer", "id_token": self._signed(kept)})

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.sign == "none":
            parts = ({"alg": "none"}, claims)
            return (
                ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
                + "."
            )
        if self.sign == "secret":
            return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET), algorithms=["HS256"])
        key = self._key if self.sign == "own" else self._foreign_key
        return jwt.encode({"alg": "RS256", "kid": "own"}, claims, key)

    @staticmethod
    def _json(body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        return 200, {"content-type": "application/json"}, json.dumps(body).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                self._send(*provider.answer(parts.path, dict(parse_qsl(parts.query))))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self._send(*provider.answer(urlsplit(self.path).path, dict(parse_qsl(body))))

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        return Handler
