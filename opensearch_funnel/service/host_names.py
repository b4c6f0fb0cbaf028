"""The names under which the service answers while it asks for no token.

A page of any site can have its own name resolve to 127.0.0.1 (DNS rebinding): the browser then
takes the service for a part of that site and lets the page read its answers. The name stays in
the ``Host`` header, and it is none of the service's.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine: an address of loopback, or ``localhost``.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("10.0.0.1")
        (True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_of(header: str) -> str:
    """Return the host of a ``Host`` header, without its port, in lower case.

    Example:
        >>> host_of("LocalHost:8750"), host_of("[::1]:8750"), host_of("::1")
        ('localhost', '::1', '')
    """
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def answers_to(header: str, *, service_url: str | None = None) -> bool:
    """Say whether a ``Host`` header names the service.

    Args:
        header: as it came.
        service_url: where callers reach the service, if not on loopback alone.

    Example:
        >>> answers_to("127.0.0.1:8750"), answers_to("evil.example")
        (True, False)
        >>> answers_to("funnel.lan:8750", service_url="http://funnel.lan:8750")
        True
    """
    host = host_of(header)
    own = urlsplit(service_url).hostname if service_url else None
    return is_loopback(host) or (bool(host) and host == own)
