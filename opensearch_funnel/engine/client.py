"""Connect to a cluster, and turn every error of the client into one of this package's."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from copy import copy
from typing import Any

import orjson
from opensearchpy import OpenSearch, Transport
from opensearchpy import exceptions as foreign
from opensearchpy.serializer import Deserializer, JSONSerializer, TextSerializer

from opensearch_funnel.core.errors import (
    EngineDeniedError,
    EngineError,
    EngineUnreachableError,
    IndexMissingError,
)
from opensearch_funnel.settings import Settings

_UNAUTHORIZED = 401
_NOT_ALLOWED = "security_exception"
_AS_TEXT = Deserializer({JSONSerializer.mimetype: TextSerializer()})


class OrjsonSerializer(JSONSerializer):
    """The client's serializer, on orjson: several times faster, and reads numpy arrays.

    Example:
        >>> OrjsonSerializer().dumps({"a": 1})
        '{"a":1}'
    """

    def dumps(self, data: Any) -> Any:
        """Write one body; text passes as it is."""
        if isinstance(data, str | bytes):
            return data
        return orjson.dumps(
            data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
        ).decode()

    def loads(self, s: Any) -> Any:
        """Read one answer."""
        try:
            return orjson.loads(s)
        except orjson.JSONDecodeError as error:
            raise foreign.SerializationError(s, error) from error


class _MappedTransport(Transport):
    """A transport whose every failure is an ``EngineError``."""

    def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().perform_request(*args, **kwargs)
        except foreign.OpenSearchException as error:
            raise engine_error(error, url=_address(self)) from error


def _address(transport: Transport) -> str:
    hosts = transport.hosts or [{}]
    host = hosts[0]
    scheme = "https" if host.get("use_ssl") else host.get("scheme", "http")
    return f"{scheme}://{host.get('host', 'localhost')}:{host.get('port', 9200)}"


def connect(settings: Settings, *, pool_size: int = 10) -> OpenSearch:
    """Make a client of the cluster that the settings name; nothing is sent yet.

    Args:
        settings: address, credentials and certificates.
        pool_size: how many connections may be open at once.

    Returns:
        A client whose calls raise only ``EngineError`` and its kinds.
    """
    headers = {}
    if settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        # Made here: the client would write a name or password outside Latin-1 wrongly.
        pair = b64encode(f"{settings.username}:{password}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    secure = settings.url.startswith("https://")
    tls: dict[str, Any] = {}
    if secure:
        tls = {
            "use_ssl": True,
            "verify_certs": settings.verify_certs,
            "ssl_show_warn": False,
        }
        if not settings.verify_certs:
            tls["ssl_assert_hostname"] = False
        if settings.ca_certs is not None:
            tls["ca_certs"] = str(settings.ca_certs)
    return OpenSearch(
        hosts=[settings.url],
        headers=headers,
        transport_class=_MappedTransport,
        serializer=OrjsonSerializer(),
        timeout=settings.timeout,
        pool_maxsize=pool_size,
        # Retries would hide a node that died and repeat writes; who may retry does so itself.
        max_retries=0,
        **tls,
    )


def answer_text(
    client: OpenSearch, path: str, *, params: Mapping[str, str], body: Mapping[str, Any]
) -> str:
    """Post a request over a client's own connections, and return the answer undecoded.

    For what must not change on the way: a decoded document is not the text that was stored.

    Args:
        client: made by ``connect``.
        path: without the address, for example ``/films/_search``.
        params: the request's parameters.
        body: the request's body.

    Raises:
        EngineError: what a call of the client raises.
    """
    # A copy shares the connections, and nothing that a request changes.
    transport = copy(client.transport)
    transport.deserializer = _AS_TEXT
    return str(transport.perform_request("POST", path, params=dict(params), body=dict(body)))


def engine_error(error: foreign.OpenSearchException, *, url: str = "the cluster") -> EngineError:
    """Say in one line what a client error means and what to do.

    Example:
        >>> str(engine_error(foreign.ConnectionError("N/A", "refused", OSError("refused")),
        ...                  url="http://127.0.0.1:9250"))
        'no OpenSearch answers at http://127.0.0.1:9250 (refused): start it (funnel node start) \
or name another with --url'
    """
    if isinstance(error, foreign.ConnectionTimeout):
        return EngineUnreachableError(
            f"{url} did not answer in time: raise FUNNEL_TIMEOUT, or see what it is busy with"
        )
    if isinstance(error, foreign.SSLError):
        return EngineUnreachableError(
            f"TLS with {url} failed ({_cause(error)}): set FUNNEL_CA_CERTS to the authority's file"
        )
    if isinstance(error, foreign.ConnectionError):
        return EngineUnreachableError(
            f"no OpenSearch answers at {url} ({_cause(error)}): start it (funnel node start) "
            "or name another with --url"
        )
    if isinstance(error, foreign.TransportError) and isinstance(error.status_code, int):
        return _refused(error, url=url)
    return EngineError(f"{url} gave an answer that cannot be used: {_one_line(str(error))}")


def _refused(error: foreign.TransportError, *, url: str) -> EngineError:
    status = int(error.status_code)
    kind, reason = _reason(error)
    # Not every 403 is about credentials: a write block is one, too.
    if status == _UNAUTHORIZED or kind == _NOT_ALLOWED:
        because = f": {_one_line(reason)}" if reason else ""
        return EngineDeniedError(
            f"{url} refused the credentials ({status}){because}; set FUNNEL_USERNAME and "
            "FUNNEL_PASSWORD to a user that may do this",
            status=status,
            kind=kind,
        )
    if kind == "index_not_found_exception":
        return IndexMissingError(
            f"{_one_line(reason)}: see GET _cat/indices for the names there are",
            status=status,
            kind=kind,
        )
    return EngineError(
        f"OpenSearch refused ({status}): {_one_line(reason)}", status=status, kind=kind
    )


def _reason(error: foreign.TransportError) -> tuple[str, str]:
    """Find the deepest explanation in an error body."""
    info = error.info
    body = info.get("error") if isinstance(info, dict) else None
    if not isinstance(body, dict):
        return str(error.error), str(body or error.error)
    roots = body.get("root_cause") or [body]
    cause = body.get("caused_by") or {}
    kind = str(roots[0].get("type") or body.get("type"))
    reason = str(roots[0].get("reason") or body.get("reason") or error.error)
    deeper = cause.get("reason") if isinstance(cause, dict) else None
    if deeper and str(deeper) not in reason:
        reason = f"{reason} ({deeper})"
    return kind, reason


def _cause(error: foreign.TransportError) -> str:
    text = str(error.info or error.error)
    # urllib3 nests the reason: "...: Failed to establish a new connection: [Errno 111] refused".
    return _one_line(text.rsplit(": ", 1)[-1].strip(")'\" "))


def _one_line(text: str, *, limit: int = 300) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
