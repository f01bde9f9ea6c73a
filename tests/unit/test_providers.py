"""Which sign-in providers are believed, and what their word is worth."""

from __future__ import annotations

from typing import Any

import pytest

from common.access import Role
from common.providers import Provider, providers_of
from dashboard.admission import name_of, newcomer, role_of

TENANT = "11111111-2222-3333-4444-555555555555"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
WELL_KNOWN = "/.well-known/openid-configuration"
ENTRA = f"https://login.microsoftonline.com/{TENANT}/v2.0{WELL_KNOWN}"
GOOGLE = f"https://accounts.google.com{WELL_KNOWN}"


def provider(address: str = GOOGLE, **more: str) -> Provider:
    """A provider with these settings."""
    return Provider(key="google", discovery_url=address, client_id="icc", **more)


def read(names: str, **values: str) -> tuple[list[str], list[str]]:
    """The usable providers' names, and the settings that are complained of."""
    found, problems = providers_of(names, {f"icc_oidc_{name}": value for name, value in values.items()})
    return [one.key for one in found], [problem.setting for problem in problems]


def test_several_providers_side_by_side() -> None:
    """Each under its own name, in the order they are named; a blank changes nothing."""
    values = {
        "entra_discovery_url": ENTRA,
        "entra_client_id": "a",
        "google_discovery_url": GOOGLE,
        "google_client_id": "b",
    }
    assert read(" Entra ,google,", **values) == (["entra", "google"], [])
    assert read("", **values) == ([], [])


@pytest.mark.parametrize(
    "address",
    [
        "https://login.microsoftonline.com/common/v2.0" + WELL_KNOWN,
        "https://login.microsoftonline.com/organizations/v2.0" + WELL_KNOWN,
        "https://login.microsoftonline.com/consumers/v2.0" + WELL_KNOWN,
        "https://login.microsoftonline.com/firm.onmicrosoft.com/v2.0" + WELL_KNOWN,
        f"https://login.microsoftonline.com/{TENANT}" + WELL_KNOWN,
        f"https://login.microsoftonline.com/{CONSUMERS}/v2.0" + WELL_KNOWN,
        f"https://login.microsoftonline.com/{CONSUMERS.upper()}/v2.0" + WELL_KNOWN,
        "https://login.microsoftonline.com./common/v2.0" + WELL_KNOWN,
        "https://LOGIN.MicrosoftOnline.com/Common/v2.0" + WELL_KNOWN,
        f"https://login.microsoftonline.com./{CONSUMERS}/v2.0" + WELL_KNOWN,
        f"https://login.microsoftonline.com../{TENANT}/v2.0" + WELL_KNOWN,
        f"https://login.microsoftonline.com:8443/{TENANT}/v2.0" + WELL_KNOWN,
        f"https://login.microsoftonline.com/{TENANT}/v2.0?x=" + WELL_KNOWN,
        "https://login.microsoftonline.com#" + WELL_KNOWN,
        "https://login.windows.net/common/v2.0" + WELL_KNOWN,
        f"https://login.microsoft.com/{TENANT}/v2.0" + WELL_KNOWN,
        f"https://sts.windows.net/{CONSUMERS}" + WELL_KNOWN,
        f"https://STS.windows.net./{TENANT}" + WELL_KNOWN,
        "https://login.microsoftonline.us/organizations/v2.0" + WELL_KNOWN,
        "https://login.partner.microsoftonline.cn/common/v2.0" + WELL_KNOWN,
        "https://login.chinacloudapi.cn/common/v2.0" + WELL_KNOWN,
        "http://idp.example" + WELL_KNOWN,
        "http://10.0.0.7" + WELL_KNOWN,
        "https://idp.example",
        "ftp://127.0.0.1" + WELL_KNOWN,
        "",
    ],
)
def test_an_address_that_is_not_one_issuers_over_https_is_refused(address: str) -> None:
    """Entra's shared addresses would let any tenant in; plain http would let anybody in between speak."""
    assert read("x", x_discovery_url=address, x_client_id="a") == ([], ["ICC_OIDC_X_DISCOVERY_URL"])


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("login.windows.net", "login.microsoftonline.com"),
        ("sts.windows.net.", "login.microsoftonline.com"),
        ("login.usgovcloudapi.net", "login.microsoftonline.us"),
        ("Login.ChinaCloudApi.cn", "login.partner.microsoftonline.cn"),
    ],
)
def test_an_old_name_of_entra_is_told_the_one_it_speaks_in(host: str, own: str) -> None:
    """Its issuer is never that of such an address: better said at the start than at each sign-in."""
    values = {"icc_oidc_x_discovery_url": f"https://{host}/{TENANT}/v2.0{WELL_KNOWN}", "icc_oidc_x_client_id": "a"}
    found, (problem,) = providers_of("x", values)
    assert (found, problem.problem) == ((), "not usable")
    assert problem.expected == f"your own tenant's address: https://{own}/TENANT-ID/v2.0{WELL_KNOWN}"


@pytest.mark.parametrize("host", ["login.microsoftonline.com.", "LOGIN.MicrosoftOnline.COM"])
def test_a_tenants_address_counts_as_entra_writes_it(host: str) -> None:
    """Capitals and a dot behind the host change nothing, neither the issuer nor that it is Entra."""
    tenant = "ABCDEF01-2222-3333-4444-555555555555"
    entra = provider(f"https://{host}/{tenant}/v2.0{WELL_KNOWN}")
    assert entra.issuer == f"https://login.microsoftonline.com/{tenant.lower()}/v2.0"
    assert (entra.is_entra, entra.claim_of_roles) == (True, "roles")


def test_a_rehearsal_on_this_machine_needs_no_https() -> None:
    """Loopback is nobody else's."""
    for host in ("127.0.0.1:9400", "localhost:9400", "[::1]:9400"):
        assert read("x", x_discovery_url=f"http://{host}{WELL_KNOWN}", x_client_id="a") == (["x"], [])


def test_what_is_missing_is_named() -> None:
    """A provider without its settings is left out, and each missing variable is said."""
    assert read("x") == ([], ["ICC_OIDC_X_DISCOVERY_URL", "ICC_OIDC_X_CLIENT_ID"])
    assert read("a b,../x,9") == ([], ["ICC_OIDC_PROVIDERS"] * 3)
    both = {"x_discovery_url": GOOGLE, "x_client_id": "a"}
    assert read("x,x", **both) == (["x"], ["ICC_OIDC_PROVIDERS"])


def test_no_mail_is_listed_at_two_providers() -> None:
    """Else the weaker provider could speak for the other's admin."""
    values = {"a_discovery_url": GOOGLE, "a_client_id": "a", "b_discovery_url": ENTRA, "b_client_id": "b"}
    lists = {"a_admin_mails": "boss@firm.example", "b_viewer_mails": "x@y.example, BOSS@firm.example"}
    assert read("a,b", **values, **lists) == (["a"], ["ICC_OIDC_B_ADMIN_MAILS"])


def test_entra_is_known_by_its_address() -> None:
    """Its app roles come in `roles` and its tenant is pinned, without further settings."""
    entra = provider(ENTRA)
    assert (entra.issuer, entra.shown) == (f"https://login.microsoftonline.com/{TENANT}/v2.0", "Microsoft")
    assert role_of(entra, {"roles": ["admin"]}) is Role.ADMIN
    assert role_of(provider(), {"roles": ["admin"]}) is None


def test_a_client_secret_is_in_no_repr() -> None:
    """Not in a traceback, not in a log line that shows the settings."""
    assert "canary" not in repr(provider(client_secret="canary-secret"))


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["Admin", "other"]}, Role.ADMIN),
        ({"groups": ["viewer", "admin"]}, Role.ADMIN),
        ({"groups": "viewer"}, Role.VIEWER),
        ({"groups": ["administrator", "admins", " admin", None, 7, {"admin": 1}]}, None),
        ({"groups": {"admin": True}}, None),
        ({"roles": ["admin"]}, None),
        ({"email": "Boss@Firm.example ", "email_verified": True}, Role.ADMIN),
        ({"email": "ana@firm.example", "email_verified": True}, Role.VIEWER),
        ({"email": "ana@firm.example", "email_verified": True, "groups": ["admin"]}, Role.ADMIN),
        ({"email": "boss@firm.example", "email_verified": 1}, None),
        ({"email": "boss@firm.example", "email_verified": "true"}, None),
        ({"email": "boss@firm.example"}, None),
        ({"email": ["boss@firm.example"], "email_verified": True}, None),
        ({"preferred_username": "boss@firm.example", "email_verified": True}, None),
        ({}, None),
    ],
)
def test_a_role_comes_from_app_roles_or_a_verified_listed_mail(claims: dict[str, Any], role: Role | None) -> None:
    """Exactly the words, exactly true: anything else gives nothing."""
    one = provider(
        roles_claim="groups", admin_mails="boss@firm.example", viewer_mails="ana@firm.example, boss@firm.example"
    )
    assert role_of(one, claims) is role


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"email": "a@b.example", "email_verified": True, "name": "Ana"}, "a@b.example · Google"),
        ({"email": "a@b.example", "name": "Ana"}, "Ana · Google"),
        ({"preferred_username": "ana", "name": "Ana"}, "ana · Google"),
        ({"name": "  A\u202en\x00a \n Lima "}, "A n a Lima · Google"),
        ({"name": "x" * 500}, "x" * 120 + " · Google"),
        ({"name": "\u200b\u2066"}, "somebody · Google"),
        ({"name": ["Ana"]}, "somebody · Google"),
        ({}, "somebody · Google"),
    ],
)
def test_a_name_says_who_vouches_and_hides_nothing(claims: dict[str, Any], name: str) -> None:
    """No local account looks like it, and no invisible character makes two names look the same."""
    assert name_of(provider(), claims) == name


def test_a_mark_tells_namesakes_apart_for_good() -> None:
    """It follows from issuer and subject, so it is the same at every sign-in."""
    marks = {newcomer(provider(), {"sub": sub, "name": "Ana"}).name_apart for sub in ("1", "2", "1")}
    assert len(marks) == 2
    assert all(mark.startswith("Ana · Google #") for mark in marks)
