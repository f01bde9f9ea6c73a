"""What makes two errors the same one: status, path template and the normalised beginning of the answer.

What differs from one time to the next is taken out: ids and tokens by their look, moments, addresses, numbers. Words
stay, and so do numbers that are codes: `1001` and `2002` under "code" are two errors. The version is kept beside each
fingerprint: a better rule makes new groups instead of mixing with old ones.
"""

from __future__ import annotations

import hashlib
import re

VERSION = 3
COMPARED = 200
"""So many characters of what is left are compared."""
MAY_BE_CUT = 300
"""A text this long may end in the middle of a word or an id."""
LOOKED_AT = 1000
"""So many characters are searched: it takes the square of a long word, and the interpreter all the while."""

_ZONE = r"(?:\s?(?:Z|UTC|GMT|[ECMP][SD]T)\b|\s?[+-]\d{2}:?\d{2}\b)"
_CLOCK = rf"\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,]\d+)?)?(?:\s?[AP]\.?M\b\.?)?{_ZONE}?"
_DAY_NAME = r"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:day|sday|nesday|rsday|urday)?,?\s)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
_MOMENT = "|".join(
    (
        rf"\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_CLOCK})?",
        r"\b\d{8}T\d{6}(?:\.\d+)?Z?\b",
        rf"{_DAY_NAME}\b\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}(?:,?\s{_CLOCK})?",
        rf"{_DAY_NAME}\b{_MONTH}\s{{1,2}}\d{{1,2}},?\s(?:{_CLOCK}\s)?\d{{4}}(?:,?\s{_CLOCK})?",
        rf"\b\d{{1,4}}/\d{{1,2}}/\d{{1,4}}\b(?:,?\s{_CLOCK})?",
        rf"\b{_CLOCK}",
    )
)
# A key and what stands between it and its value, in JSON (quoted once more or not), a form, XML or a sentence.
_BETWEEN = r"""[\\"']{0,4}\s?[:=>]\s?[\\"']{0,4}"""
_CODE_OF = r"(?:error|err|status|sub|reason|result|fault|exception|response|http|api)"
# "zip code: 90210" and "postalCode" tell of a record, not of an error.
_CODE = (
    rf"(?<![a-z0-9_])(?:(?:{_CODE_OF}[ _-]?code|err_?no)(?:{_BETWEEN}|\s)|(?<![a-z][ -])code{_BETWEEN})"
    r"[a-z]{0,8}[_-]?\d{1,8}(?!\w|\.\d)"
    # Codes without such a key: `"error": "E1001"`, and the families that databases, HTTP and Microsoft's sign-in have.
    rf"|(?<![a-z0-9_])(?:error|err){_BETWEEN}[a-z]{{1,8}}[_-]?\d{{2,8}}(?=\s*(?:[\"',;}}\]<&\\]|$))"
    r"|(?<![a-z0-9_])(?:sqlstate[ :=\[]{0,3}[0-9a-z]{5}|(?:ora|pls|tns|aadsts)-?\d{3,8}|http(?:/\d(?:\.\d)?)?[ ]\d{3})"
    r"(?!\w|\.\d)"
)
_ID_KEY = (
    r"(?P<key>(?<![a-z0-9])"
    r"(?:request|req|trace|span|correlation|error|event|transaction|operation|activity|incident|session|ray)"
    rf"[ _-]?id{_BETWEEN})(?=[\w.:+/=-]*\d|[\w.:+/=-]{{12}})[\w.:+/=-]+"  # "session id: missing" is no id
)
_STEP = re.compile(
    rf"(?P<code>{_CODE})|(?P<id>{_ID_KEY})|(?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    rf"|(?P<moment>{_MOMENT})|(?P<place>(?<![\w:])(?:0x[0-9a-f]+|[0-9a-f]{{1,4}}:(?:[0-9a-f]{{0,4}}:){{1,6}}[0-9a-f]{{1,4}})(?![\w:]))|(?P<token>(?<![a-z0-9])[a-z0-9]{{8,}}(?![a-z0-9]))"
    r"|(?P<number>(?:(?<![\w.])-)?\d+(?:\.\d+)*(?:e[+-]?\d+)?)",
    re.IGNORECASE,
)
_STANDS_FOR = {"email": "<address>", "moment": "<time>"}
ANY = "#"
"""Stands for a number as well as for an id: one id in forty has no letter."""

_HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_LONG_HEX = re.compile(r"[0-9a-f]{16,}", re.IGNORECASE)
# `X509CertificateException`, `leaseEndDate2`. Of random letters and digits few look so: measured, 1 in 20 of 16.
_WORDS = r"(?:[A-Z]?[a-z]{2,}+|[A-Z]{3,}+)*+"
_WORDS_WITH_A_NUMBER = re.compile(rf"[A-Z]?{_WORDS}\d{{1,4}}{_WORDS}")


def normalised(snippet: str) -> str:
    """The text without what differs from one time to the next: ids, moments, numbers, spacing."""
    text = " ".join(snippet.split())[:LOOKED_AT]
    if len(text) >= MAY_BE_CUT:
        text = re.sub(r"\b\w+$", "", text)
    return _STEP.sub(_in_place_of, text)[:COMPARED].strip()


def _in_place_of(found: re.Match[str]) -> str:
    kind, text = str(found.lastgroup), found[0]
    if kind == "code":
        return text
    if kind == "id":
        return f"{found['key']}{ANY}"
    if kind == "token" and not _is_id(text):
        return re.sub(r"\d+", ANY, text)
    return _STANDS_FOR.get(kind, ANY)


def _is_id(token: str) -> bool:
    """Whether eight or more letters and digits look like an id or token, not like words."""
    if _HEX.fullmatch(token):
        return True
    if token.isalpha():
        return False
    return _WORDS_WITH_A_NUMBER.fullmatch(token) is None


def path_template(path: str) -> str:
    """``/owners/64b…`` → ``/owners/{id}``: a step that holds a digit is an id, and so is one of hexadecimal letters."""
    return "/".join("{id}" if _holds_id(step) else step for step in path.split("?", maxsplit=1)[0].split("/"))


def _holds_id(step: str) -> bool:
    return any(c.isdigit() for c in step) or _LONG_HEX.fullmatch(step) is not None


def fingerprint(code: str, status: int | None, path: str, snippet: str) -> str:
    """Sixteen hexadecimal characters, the same for the same kind of error."""
    parts = "\n".join((str(VERSION), code, str(status or ""), path_template(path), normalised(snippet)))
    return hashlib.blake2b(parts.encode("utf-8", "replace"), digest_size=8).hexdigest()
