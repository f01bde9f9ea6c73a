"""The one room that speaks with sign-in providers: OpenID Connect by Authlib, with PKCE (S256), state and nonce.

A provider's word counts only when it was asked for by this browser, is signed by its published keys, names its own
issuer and this program as its audience, and is of now (two minutes of clock difference are forgiven).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
from authlib.integrations.base_client.errors import MismatchingStateError, OAuthError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from starlette.requests import Request
from starlette.responses import Response

from common.errors import Refused
from common.providers import PREFIX, Provider

SCOPE = "openid profile email"
PATIENCE_SECONDS = 10.0
LEEWAY_SECONDS = 120
FRESH_SECONDS = 3600.0
"""What the provider publishes of itself (addresses, keys) is read anew after this; for an unknown key at once."""
LONGEST_SUBJECT = 255
"""OpenID Connect Core 1.0, section 2: a subject has at most 255 ASCII characters."""
_SIGNED = re.compile(r"(RS|PS|ES)(256|384|512)|EdDSA|Ed25519")
_CODE = re.compile(r"[a-z0-9_]{1,40}")


class Door:
    """One provider's door: ``leave`` sends a browser to it, ``arrive`` hears what it says when the browser is back."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._app: Any = None
        self._since_seconds = 0.0

    async def leave(self, request: Request, callback: str) -> Response:
        """The redirect to the provider. What must be remembered until the return is put into ``request.session``.

        Raises ``Refused`` when the provider cannot be reached or is not who its address says.
        """
        with self._in_our_words():
            app = await self._trusted()
            answer: Response = await app.authorize_redirect(request, callback)
            return answer

    async def arrive(self, request: Request) -> Mapping[str, Any]:
        """The claims of the ID token, all checked. Raises ``Refused`` with what the person (or an operator) can do."""
        state, denied = request.query_params.get("state"), request.query_params.get("error")
        begun = {key.removeprefix(f"_state_{self.provider.key}_") for key in request.session}
        # With a "no" some providers forget to say the state back; it changes nothing but the sentence shown.
        if state not in begun and not (begun and denied is not None and state is None):
            raise Refused("SIGN_IN_STALE")
        if denied is not None:
            # Only the code: the provider's sentence comes through the browser, so anybody could have written it.
            raise Refused("PROVIDER_DENIED", provider=self.provider.shown, reason=_code(denied))
        with self._in_our_words():
            app = await self._trusted()
            issuer = app.server_metadata["issuer"]
            # RFC 9207: an answer that says whose it is must be the one that was asked.
            if request.query_params.get("iss", issuer) != issuer:
                raise self._distrust("it comes from another issuer")
            own = {"essential": True, "value": self.provider.client_id}
            options = {"iss": {"essential": True, "value": issuer}, "aud": own}
            token = await app.authorize_access_token(request, claims_options=options, leeway=LEEWAY_SECONDS)
        claims: Mapping[str, Any] | None = token.get("userinfo")
        if claims is None:
            raise self._distrust("it holds no ID token")
        if not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
            raise self._distrust("its subject is empty or too long")
        return claims

    async def _trusted(self) -> Any:
        """Authlib's client, with what the provider publishes read and found to be its own."""
        if self._app is None or time.monotonic() - self._since_seconds > FRESH_SECONDS:
            self._app, self._since_seconds = self._made(), time.monotonic()
        app = self._app
        metadata = await app.load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != self.provider.issuer.rstrip("/"):
            self._app = None
            raise self._distrust("its issuer is not the one of its address")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        # Never "none", and never a signature by the secret that both sides know.
        metadata["id_token_signing_alg_values_supported"] = [alg for alg in offered if _SIGNED.fullmatch(str(alg))]
        return app

    def _made(self) -> Any:
        return OAuth().register(
            self.provider.key,
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret,
            server_metadata_url=self.provider.discovery_url,
            client_kwargs={"scope": SCOPE, "code_challenge_method": "S256", "timeout": PATIENCE_SECONDS},
        )

    def _distrust(self, reason: str) -> Refused:
        return Refused("PROVIDER_NOT_TRUSTED", reason=reason, **self._words())

    def _words(self) -> dict[str, str]:
        setting = f"{PREFIX}{self.provider.key.upper()}_DISCOVERY_URL"
        return {"provider": self.provider.shown, "setting": setting}

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        """Errors of the libraries as refusals with cause and remedy. None of them quotes what the provider sent."""
        words = self._words()
        try:
            yield
        except MismatchingStateError:
            raise Refused("SIGN_IN_STALE") from None
        except OAuthError as error:
            raise Refused("PROVIDER_REFUSED_CODE", reason=_code(error.error), **words) from None
        except (ExpiredTokenError, ClaimError) as error:
            if isinstance(error, ExpiredTokenError) or error.claim in ("iat", "nbf", "exp"):
                raise Refused("PROVIDER_CLOCK", provider=words["provider"]) from None
            raise self._distrust(f"its claim {error.claim} is not as it must be") from None
        except JoseError:
            raise self._distrust("its signature does not fit its published keys") from None
        except httpx2.TimeoutException:
            raise Refused("PROVIDER_AWAY", reason="no answer in time", **words) from None
        except httpx2.HTTPStatusError as error:
            raise Refused("PROVIDER_AWAY", reason=f"HTTP {error.response.status_code}", **words) from None
        except httpx2.HTTPError:
            raise Refused("PROVIDER_AWAY", reason="no connection", **words) from None
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
            # A page instead of JSON, a document without its fields: Authlib looks into it without asking.
            raise Refused("PROVIDER_AWAY", reason="it answers something else than OpenID Connect", **words) from None


def _code(error: object) -> str:
    """An error code of the protocol, such as ``access_denied``; anything else is not repeated."""
    text = str(error)
    return text if _CODE.fullmatch(text) else "no usable reason"
