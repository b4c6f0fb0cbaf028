"""Write the commands that put things right: for a shell, with the names and addresses at hand."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from opensearch_funnel.settings import Settings

_JSON = "content-type: application/json"
_CREDENTIALS = '"$FUNNEL_USERNAME:$FUNNEL_PASSWORD"'
DOCTOR_ROLE = "funnel_doctor"
"""The role of ``docs/roles.yml`` that may read all that is looked at."""
_OF_CLUSTER = (
    "cluster:",
    "indices:admin/template/",
    "indices:admin/index_template/",
    "indices:data/read/scroll",
    "indices:data/read/mget",
    "indices:data/read/msearch",
)
"""What the security plugin grants for the whole cluster, and not by index."""


class Fixes:
    """Writes commands for one cluster."""

    def __init__(self, settings: Settings, *, python: str = sys.executable) -> None:
        """Write nothing yet.

        Args:
            settings: address, credentials and certificates; a secret is never written, but the
                variable that holds it.
            python: the interpreter whose packages are meant.
        """
        self._settings = settings
        self._python = python

    @property
    def url(self) -> str:
        """The cluster's address."""
        return self._settings.url

    def curl(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> str:
        """Return a call to the cluster.

        Args:
            method: of HTTP.
            path: with its slash.
            body: sent as JSON.

        Example:
            >>> Fixes(Settings(url="http://n:9200")).curl("POST", "/films/_refresh")
            'curl -fsS -X POST http://n:9200/films/_refresh'
        """
        parts = ["curl -fsS", *self._access(), "-X", method, shlex.quote(self.url + path)]
        if body is not None:
            parts += ["-H", shlex.quote(_JSON), "-d", shlex.quote(orjson.dumps(body).decode())]
        return " ".join(parts)

    def _access(self, *, user: str = "") -> list[str]:
        parts = []
        if user:
            # curl asks for the password.
            parts = ["-u", shlex.quote(user)]
        elif self._settings.username is not None:
            parts = ["-u", _CREDENTIALS]
        if self.url.startswith("https://"):
            if not self._settings.verify_certs:
                parts.append("-k")
            elif self._settings.ca_certs is not None:
                parts += ["--cacert", shlex.quote(str(self._settings.ca_certs))]
        return parts

    def index_settings(self, index: str, settings: Mapping[str, Any]) -> str:
        """Return a change of an index's settings; ``None`` takes one away."""
        return self.curl("PUT", f"/{index}/_settings", settings)

    def cluster_settings(self, kind: str, settings: Mapping[str, Any]) -> str:
        """Return a change of the cluster's settings.

        Args:
            kind: ``persistent`` or ``transient``.
            settings: by their full names; ``None`` takes one away.
        """
        return self.curl("PUT", "/_cluster/settings", {kind: settings})

    def funnel(self, *arguments: str) -> str:
        """Return a call of this program against the same cluster.

        Example:
            >>> Fixes(Settings(url="http://n:9200")).funnel("migrate", "repair", "films")
            'funnel migrate repair films --url http://n:9200'
        """
        return shlex.join(["funnel", *arguments, "--url", self.url])

    def pip(self, *arguments: str) -> str:
        """Return a call of pip for the interpreter that runs this program."""
        return shlex.join([self._python, "-m", "pip", *arguments])

    def granting(self, rights: Sequence[str], *, index: str = "", role: str = DOCTOR_ROLE) -> str:
        """Return a change of a role in the security plugin, by an administrator.

        Args:
            rights: the actions to allow.
            index: what those that are granted by index are for.
            role: which role gets them.

        Example:
            >>> print(Fixes(Settings(url="http://n:9200")).granting(["cluster:monitor/main"]))
            curl -fsS -u admin -X PATCH http://n:9200/_plugins/_security/api/roles/funnel_doctor \
-H 'content-type: application/json' \
-d '[{"op":"add","path":"/cluster_permissions/-","value":"cluster:monitor/main"}]'
        """
        changes: list[dict[str, Any]] = [
            {"op": "add", "path": "/cluster_permissions/-", "value": right}
            for right in rights
            if right.startswith(_OF_CLUSTER)
        ]
        by_index = [right for right in rights if not right.startswith(_OF_CLUSTER)]
        if by_index:
            value = {"index_patterns": [index or "*"], "allowed_actions": by_index}
            changes.append({"op": "add", "path": "/index_permissions/-", "value": value})
        path = f"{self.url}/_plugins/_security/api/roles/{role}"
        parts = ["curl -fsS", *self._access(user="admin"), "-X PATCH", shlex.quote(path)]
        parts += ["-H", shlex.quote(_JSON), "-d", shlex.quote(orjson.dumps(changes).decode())]
        return " ".join(parts)


def both(*commands: str) -> str:
    """Return one line that runs commands one after the other, as long as none fails.

    Example:
        >>> both("a", "", "b")
        'a && b'
    """
    return " && ".join(command for command in commands if command)
