"""Deleting connectors where the engine takes models of others for theirs.

The engine looks for the models of a connector by the words of its id. Where ids hold a dash, and
those that one node makes share what is behind it, it finds models of other connectors, too.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.remote_models import delete_connector, delete_models_of
from opensearch_funnel.settings import Settings

OURS, THEIRS = "aBc_qEBNjz4-ZrtnQIZg", "xYz_qEBNjz4-ZrtnQIZg"


class Engine:
    """The routes of ml-commons that take part, with its search for words."""

    def __init__(self) -> None:
        self.connectors = {OURS, THEIRS}
        self.models = {"m1": OURS, "m2": OURS, "of-theirs": THEIRS}
        self.broken = False
        self.url = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        kind, _, name = path.removeprefix("/_plugins/_ml/").partition("/")
        if (method, kind) == ("DELETE", "connectors"):
            return self.delete_connector(name)
        assert kind == "models"
        if name == "_search":
            wanted = body["query"]["match_phrase"]["connector_id"]
            hits = [
                {"_id": model, "_source": {"connector_id": connector}}
                for model, connector in self.models.items()
                if words(wanted) & words(connector)
            ]
            return 200, {"hits": {"hits": hits}}
        if method == "DELETE":
            del self.models[name]
        return 200, {}

    def delete_connector(self, name: str) -> tuple[int, dict[str, Any]]:
        if self.broken:
            return 500, refusal("all shards failed", status=500)
        using = [m for m, connector in self.models.items() if words(name) & words(connector)]
        if using:
            reason = f"{len(using)} models are still using this connector: {using}"
            return 409, refusal(reason, status=409)
        if name not in self.connectors:
            return 404, refusal("Failed to find connector", status=404)
        self.connectors.remove(name)
        return 200, {"result": "deleted"}


def words(connector_id: str) -> set[str]:
    return set(connector_id.lower().split("-"))


def refusal(reason: str, *, status: int) -> dict[str, Any]:
    cause = {"type": "status_exception", "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.reply()

        def do_DELETE(self) -> None:
            self.reply()

        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = re.sub(r"\?.*", "", self.path)
            status, content = made.answer(self.command, path, json.loads(body or "null"))
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def test_models_of_other_connectors_stay_and_the_unused_connector_is_left_with_a_warning(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(Settings(url=engine.url))
    with caplog.at_level(logging.WARNING, logger="opensearch_funnel.engine.remote_models"):
        delete_connector(client, OURS)
    assert engine.models == {"of-theirs": THEIRS}
    assert engine.connectors == {OURS, THEIRS}
    (warning,) = [one for one in caplog.records if one.name.endswith("remote_models")]
    assert OURS in warning.getMessage()
    assert "still using" in warning.getMessage()


def test_connectors_whose_models_went_first_go_all_of_them(engine: Engine) -> None:
    client = connect(Settings(url=engine.url))
    for connector_id in (OURS, THEIRS):
        delete_models_of(client, connector_id)
    for connector_id in (OURS, THEIRS):
        delete_connector(client, connector_id)
    assert (engine.models, engine.connectors) == ({}, set())
    delete_connector(client, OURS)


def test_any_other_refusal_is_an_error(engine: Engine) -> None:
    engine.broken = True
    with pytest.raises(EngineError, match="all shards failed"):
        delete_connector(connect(Settings(url=engine.url)), OURS)
