"""Sign-in providers, as they are set: any that speaks OpenID Connect, each under a name of the operator's choice.

``ICC_OIDC_PROVIDERS=entra,google`` names them; ``ICC_OIDC_ENTRA_DISCOVERY_URL`` and its kin say the rest of each. One
that is not usable is left out and said so; the others, and local accounts, stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from common.access import Role

PREFIX = "ICC_OIDC_"
DISCOVERY = "/.well-known/openid-configuration"
_KEY = re.compile(r"[a-z][a-z0-9]{0,29}")
_ENTRA_HOSTS = {
    "login.microsoftonline.com": "login.microsoftonline.com",
    "login.windows.net": "login.microsoftonline.com",
    "login.microsoft.com": "login.microsoftonline.com",
    "sts.windows.net": "login.microsoftonline.com",
    "login.microsoftonline.us": "login.microsoftonline.us",
    "login.usgovcloudapi.net": "login.microsoftonline.us",
    "login.partner.microsoftonline.cn": "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn": "login.partner.microsoftonline.cn",
}
"""Microsoft Entra's hosts, its old names among them → the host in whose name it speaks for a tenant."""
_TENANT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The one tenant of every private Microsoft account of the world; Entra's ``consumers`` by number."""


class Provider(BaseModel):
    """One provider. Its ``issuer`` follows from its address, so that nobody else's word counts as its own."""

    model_config = ConfigDict(frozen=True)

    key: str
    discovery_url: str = Field(description="the provider's address, ending in /.well-known/openid-configuration")
    client_id: str = Field(min_length=1, description="how the provider knows this program")
    client_secret: str | None = Field(
        None, repr=False, description="its secret there; unset for a public client. A secret"
    )
    label: str | None = Field(None, max_length=40, description="what the button says after `Continue with`")
    roles_claim: str | None = Field(
        None, description="the claim whose values admin and viewer give the role; for Entra: roles"
    )
    admin_mails: str = Field("", description="verified mail addresses at this provider that are admins, with commas")
    viewer_mails: str = Field("", description="verified mail addresses at this provider that are viewers, with commas")

    @field_validator("discovery_url")
    @classmethod
    def _is_one_issuers(cls, value: str) -> str:
        """Over https, of one issuer. Entra's shared addresses let any tenant of the world in."""
        parts = urlsplit(value)
        is_private = parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts))
        if not value.endswith(DISCOVERY) or not is_private:
            raise ValueError(f"an https:// address that ends in {DISCOVERY}")
        host = (parts.hostname or "").rstrip(".")
        return _of_one_tenant(value, parts.path, host) if host in _ENTRA_HOSTS else value

    @property
    def issuer(self) -> str:
        """Whose word counts (OpenID Connect Discovery 1.0, section 4.3: the address without its well-known end)."""
        return self.discovery_url.removesuffix(DISCOVERY)

    @property
    def is_entra(self) -> bool:
        """Whether it is Microsoft Entra, whose app roles come in the claim ``roles``."""
        return urlsplit(self.discovery_url).hostname in _ENTRA_HOSTS

    @property
    def shown(self) -> str:
        """Its name for people."""
        return self.label or ("Microsoft" if self.is_entra else self.key.capitalize())

    @property
    def claim_of_roles(self) -> str | None:
        """The claim that gives roles, None when roles come by mail or by hand only."""
        return self.roles_claim or ("roles" if self.is_entra else None)

    @property
    def mails(self) -> dict[str, Role]:
        """Listed mail address, in lower case, → its role. Who stands in both lists is an admin."""
        listed = ((self.viewer_mails, Role.VIEWER), (self.admin_mails, Role.ADMIN))
        return {mail.strip().casefold(): role for mails, role in listed for mail in mails.split(",") if mail.strip()}


@dataclass(frozen=True)
class Problem:
    """Why a setting of a provider cannot be used: words for the code ``SETTING_INVALID``."""

    setting: str
    problem: str
    expected: str


_FIELDS = tuple(name for name in Provider.model_fields if name != "key")
PROVIDER_SETTINGS = {f"{PREFIX}ENTRA_{name.upper()}": str(Provider.model_fields[name].description) for name in _FIELDS}
"""The settings of one provider, here of one called ``entra`` → their meaning."""


def providers_of(names: str | None, values: Mapping[str, str]) -> tuple[tuple[Provider, ...], tuple[Problem, ...]]:
    """The usable providers in the order they are named, and what is wrong with the rest.

    ``values`` is the environment as ``common.config.environment`` reads it: names in lower case.
    """
    found: list[Provider] = []
    problems: list[Problem] = []
    for name in (names or "").split(","):
        key = name.strip().lower()
        if not key:
            continue
        if not _KEY.fullmatch(key) or any(known.key == key for known in found):
            expected = "different names of small letters and digits, separated by commas"
            problems.append(Problem(f"{PREFIX}PROVIDERS", "not usable", expected))
            continue
        try:
            provider = _read(key, values)
        except ValidationError as refusal:
            problems += [_problem(key, error["loc"][0], error["type"], error["msg"]) for error in refusal.errors()]
            continue
        doubled = next((known for known in found if known.mails.keys() & provider.mails.keys()), None)
        if doubled:
            # One mail, one issuer: else the weaker provider could speak for the other's admin.
            expected = f"mail addresses that {PREFIX}{doubled.key.upper()}_ADMIN_MAILS and _VIEWER_MAILS do not list"
            problems.append(Problem(f"{PREFIX}{key.upper()}_ADMIN_MAILS", "not usable", expected))
            continue
        found.append(provider)
    return tuple(found), tuple(problems)


def _read(key: str, values: Mapping[str, str]) -> Provider:
    given = {name: values.get(f"{PREFIX}{key}_{name}".lower()) for name in _FIELDS}
    return Provider(key=key, **{name: value for name, value in given.items() if value})


def _problem(key: str, field: object, kind: str, message: str) -> Problem:
    setting = f"{PREFIX}{key.upper()}_{str(field).upper()}"
    if kind == "missing":
        return Problem(setting, "not set", str(Provider.model_fields[str(field)].description))
    return Problem(setting, "not usable", message.removeprefix("Value error, "))


def _of_one_tenant(address: str, path: str, host: str) -> str:
    """An address of Entra as Entra says it: small letters, no dot behind the host. ValueError unless one tenant's."""
    own = _ENTRA_HOSTS[host]
    tenant = path.lower().removeprefix("/").partition("/")[0]
    pinned = f"https://{own}/{tenant}/v2.0{DISCOVERY}"
    is_pinned = address.lower().replace(f"{host}./", f"{host}/", 1) == pinned
    if not is_pinned or not _TENANT.fullmatch(tenant) or tenant == _CONSUMERS:
        raise ValueError(f"your own tenant's address: https://{own}/TENANT-ID/v2.0{DISCOVERY}")
    return pinned


def _is_here(parts: SplitResult) -> bool:
    """Whether an address is this very machine's: a rehearsal's provider may go without https."""
    host = parts.hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
