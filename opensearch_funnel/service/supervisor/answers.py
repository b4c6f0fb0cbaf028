"""Heads and whole answers as bytes; what of a message belongs to one connection alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson

from opensearch_funnel.service.supervisor.reading import Header, Request

# Of one connection, not of the message: RFC 9110, section 7.6.1. The supervisor waits for the
# whole body itself, so the length and "Expect" are its own affair, too.
_OF_ONE_CONNECTION = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def passed_on(headers: Iterable[Header]) -> list[Header]:
    """Return the headers that are of the message, and not of the connection that it came by.

    Example:
        >>> passed_on([(b"connection", b"close, x-hop"), (b"x-hop", b"1"), (b"accept", b"*/*")])
        [(b'accept', b'*/*')]
    """
    kept = [header for header in headers if header[0] != b"connection"]
    named = [value for name, value in headers if name == b"connection"]
    own = _OF_ONE_CONNECTION
    if named:
        own = own | {name.strip().lower() for value in named for name in value.split(b",")}
    return [header for header in kept if header[0] not in own]


def forwarded_request(request: Request, *, request_id: bytes) -> tuple[bytes, bytes]:
    r"""Return head and body of a request as the worker gets it.

    In two, because a body of megabytes would else be in memory twice until it is sent.

    Example:
        >>> request = Request(method=b"GET", target=b"/health", version="1.1", keep_alive=True,
        ...                   headers=[(b"host", b"a")], body=b"")
        >>> forwarded_request(request, request_id=b"7")
        (b'GET /health HTTP/1.1\r\nhost: a\r\nx-request-id: 7\r\n\r\n', b'')
    """
    headers = [h for h in passed_on(request.headers) if h[0] != b"x-request-id"]
    headers.append((b"x-request-id", request_id))
    if request.body or request.method in _WITH_BODY:
        headers.append((b"content-length", b"%d" % len(request.body)))
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method, request.target, lines)
    return head, request.body


def answer_head(status: int, headers: Iterable[Header], *, version: str, keep_alive: bool) -> bytes:
    r"""Return the head of an answer to a client.

    Args:
        status: the status code.
        headers: of the message.
        version: of the client's request.
        keep_alive: whether the connection goes on after this answer.

    Example:
        >>> answer_head(200, [(b"x", b"1")], version="1.1", keep_alive=False)
        b'HTTP/1.1 200 OK\r\nx: 1\r\nconnection: close\r\n\r\n'
    """
    lines = [b"%b: %b\r\n" % header for header in headers]
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    elif version == "1.0":
        lines.append(b"connection: keep-alive\r\n")
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, _PHRASES.get(status, b""), b"".join(lines))


def whole_answer(  # noqa: PLR0913 - the parts of an answer
    status: int,
    body: bytes,
    *,
    headers: Iterable[Header],
    version: str,
    keep_alive: bool,
    head_only: bool,
) -> bytes:
    """Return an answer of a known length; ``head_only`` leaves the body out (``HEAD``)."""
    sized = [*headers, (b"content-length", b"%d" % len(body))]
    head = answer_head(status, sized, version=version, keep_alive=keep_alive)
    return head if head_only else head + body


def json_headers(status: int) -> list[Header]:
    """Return the headers of an answer of the supervisor's own; a 503 may be asked again soon."""
    headers = [(b"content-type", b"application/json")]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    return headers


def as_json(content: Mapping[str, Any]) -> bytes:
    """Return JSON."""
    return orjson.dumps(content)
