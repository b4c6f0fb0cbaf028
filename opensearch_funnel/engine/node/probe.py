"""Ask a node on loopback how it is, without a client library and without a proxy."""

from __future__ import annotations

import http.client
import json
import random
import socket
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import NodeError

HOST = "127.0.0.1"
_TIMEOUT_S = 5.0
_OK = 200
_LONGEST_REASON = 300
_LAST_LINES = 200
_SERVER_PORTS = range(20_000, 32_000)
_TRIES = 100


def ask(port: int, path: str) -> Any:
    """Get one JSON answer of a node; ``None`` if there is none.

    Args:
        port: on loopback.
        path: with its parameters.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        return json.loads(text) if answer.status == _OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def is_ready(port: int) -> bool:
    """Whether a node takes requests and every primary shard is there.

    Args:
        port: on loopback.
    """
    health = ask(port, "/_cluster/health?wait_for_status=yellow&timeout=1s")
    return bool(health) and health.get("status") in {"yellow", "green"}


def is_free(port: int) -> bool:
    """Whether a program could listen on a port of loopback now.

    Args:
        port: to try.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        # As Java does: connections of a node that just stopped are no hindrance.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except PermissionError as error:
            msg = f"port {port} may not be used by this user; take one above 1023"
            raise NodeError(msg) from error
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port of loopback that nothing listens on.

    It lies below the ports that systems give to outgoing connections: one of those could take
    it before a server does.

    Raises:
        NodeError: none was found.
    """
    for port in random.sample(_SERVER_PORTS, _TRIES):
        if is_free(port):
            return port
    raise NodeError("no free port was found; name one with --port")


def failure_in_log(*texts: str) -> str:
    r"""Find the line of a node's logs that says why it ended.

    The deepest cause is the last one named; without any, the last line that tells of an error.
    Only the end of a log counts: a node that ran for days has errors that it survived.

    Args:
        texts: logs, the most telling first.

    Example:
        >>> failure_in_log("[ERROR] uncaught\nCaused by: java.net.BindException: in use\n\tat x")
        'java.net.BindException: in use'
        >>> failure_in_log("", "[INFO ] started")
        'no error is logged, so something killed it (too little memory?)'
    """
    for text in texts:
        lines = [line.strip() for line in text.splitlines()[-_LAST_LINES:]]
        causes = [
            line.partition(": ")[2]
            for line in lines
            if line.startswith(("Caused by: ", "Likely root cause: "))
        ]
        errors = [line for line in lines if _tells_of_an_error(line)]
        for found in (causes, errors):
            if found:
                return found[-1][:_LONGEST_REASON]
    return "no error is logged, so something killed it (too little memory?)"


def read_from(path: Path, offset: int) -> str:
    """Read a log from a position; from its start if it is shorter (it was rolled over).

    Args:
        path: of the log; a missing one is empty.
        offset: in bytes.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(offset if offset <= size else 0)
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _tells_of_an_error(line: str) -> bool:
    if "[ERROR]" in line or "[FATAL]" in line:
        return True
    # Lines of another level may name an error without telling of one, as -XX:+ExitOn…Error does.
    other = line.startswith(("[", "at ", "WARNING"))
    return not other and ("Exception" in line or "Error" in line)
