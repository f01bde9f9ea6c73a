"""Where a secret or a foreign script could slip in, the shape of the code leaves no place for it."""

from __future__ import annotations

import ast
import re

from common.config import VENDOR_SECRETS, DoorLoopSettings, SharedSettings, WebSettings
from tests.architecture.sources import ROOT, sources

INLINE = re.compile(
    r"unsafe_allow_html|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\bstyle\s*=\s*[\"'\\]|\beval\("
)
PAGE_FILES = (".py", ".html", ".js", ".css")


def test_the_page_writes_no_html_of_its_own() -> None:
    """No inline style, no unsafe_allow_html, no innerHTML: what a vendor sends can never become markup."""
    found = []
    for path in sorted((ROOT / "dashboard").rglob("*")):
        if path.suffix not in PAGE_FILES:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if INLINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number} {line.strip()[:80]}")
    assert not found, "\n".join(found)


def test_the_web_process_has_no_field_for_a_vendor_key() -> None:
    """Law: the dashboard holds no vendor key; its settings have no such field."""
    assert not set(WebSettings.model_fields) & set(DoorLoopSettings.model_fields)
    assert not [
        name for name in WebSettings.model_fields if "doorloop" in name or "webhook" in name or "api_key" in name
    ]
    assert {name.lower() for name in VENDOR_SECRETS} <= set(DoorLoopSettings.model_fields)
    assert not {name.lower() for name in VENDOR_SECRETS} & set(SharedSettings.model_fields)


def test_the_dashboard_names_no_vendor_secret() -> None:
    """Nothing in it reads a key, not even to show it."""
    named = [
        source.name
        for source in sources("dashboard")
        for secret in VENDOR_SECRETS
        if re.search(rf"\b{secret}\b|\b{secret.lower()}\b", source.text)
    ]
    assert not named


def test_nothing_runs_text_as_code_or_in_a_shell() -> None:
    """No eval, exec, pickle or shell=True anywhere."""
    found = []
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                shell = any(
                    keyword.arg == "shell" and ast.unparse(keyword.value) == "True" for keyword in node.keywords
                )
                if called in ("eval", "exec", "os.system", "pickle.loads", "pickle.load", "yaml.load") or shell:
                    found.append(f"{source.name}:{node.lineno} {called}")
    assert not found
