"""Faults of the envelope and of the JSON text (DoorLoop fact sheet §5 and §11.8)."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator

from ..wire import Response
from .switchboard import ActiveFault

PADDING = b" " * 65_536


def envelope(total: int, items: list[bytes], faults: Iterable[ActiveFault]) -> bytes:
    """Return a list's JSON, put together from the records' own bytes."""
    data, number = b"[" + b",".join(items) + b"]", b"%d" % total
    for fault in faults:
        if fault.key == "bare_array":
            return data
        if fault.key == "wrong_envelope":
            return ENVELOPES[fault["mode"]](data, number)
    return b'{"total":%b,"data":%b}' % (number, data)


ENVELOPES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "data_missing": lambda data, total: b'{"total":%b,"results":%b}' % (total, data),
    "data_null": lambda _, total: b'{"total":%b,"data":null}' % total,
    "data_object": lambda data, total: b'{"total":%b,"data":{"items":%b}}' % (total, data),
    "data_text": lambda _, total: b'{"total":%b,"data":"none"}' % total,
    "total_missing": lambda data, _: b'{"data":%b}' % data,
    "total_text": lambda data, _: b'{"total":"many","data":%b}' % data,
}


def distort(response: Response, faults: Iterable[ActiveFault]) -> Response:
    """Change a JSON answer's text as the faults of stage "body" say."""
    for fault in faults:
        if fault.stage == "body":
            DISTORTIONS[fault.key](fault, response)
    return response


def _bom(_: ActiveFault, response: Response) -> None:
    response.body = b"\xef\xbb\xbf" + response.body


def _truncate(fault: ActiveFault, response: Response) -> None:
    response.body = response.body[: max(1, int(len(response.body) * min(0.99, fault["share"])))]


def _invalidate(_: ActiveFault, response: Response) -> None:
    middle = len(response.body) // 2
    response.body = response.body[:middle] + b'"}],;{"' + response.body[middle:]


def _empty(_: ActiveFault, response: Response) -> None:
    response.body = b""


def _retitle(fault: ActiveFault, response: Response) -> None:
    response.content_type = fault["content_type"]


def _inflate(fault: ActiveFault, response: Response) -> None:
    """Pad with blanks inside the JSON: it stays valid, only absurdly large, and takes no memory here."""
    size = max(len(response.body), fault["bytes"])
    response.stream = _padded(response.body, size)
    response.stream_bytes = size if fault["announced"] else None


def _padded(body: bytes, size: int) -> Iterator[bytes]:
    yield body[:1]
    left = size - len(body)
    while left > 0:
        yield PADDING[:left]
        left -= len(PADDING)
    yield body[1:]


def _gzip(_: ActiveFault, response: Response) -> None:
    response.body = gzip.compress(response.body, 1)
    response.headers.append(("Content-Encoding", "gzip"))


def _bomb(fault: ActiveFault, response: Response) -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    size = max(len(response.body), fault["bytes"])
    response.body = b"".join((*map(packer.compress, _padded(response.body, size)), packer.flush()))
    response.headers.append(("Content-Encoding", "gzip"))


DISTORTIONS: dict[str, Callable[[ActiveFault, Response], None]] = {
    "bom": _bom,
    "truncated_json": _truncate,
    "invalid_json": _invalidate,
    "empty_body": _empty,
    "wrong_content_type": _retitle,
    "oversized_body": _inflate,
    "gzip": _gzip,
    "gzip_bomb": _bomb,
}
