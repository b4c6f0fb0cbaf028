"""A cluster behind TLS and basic auth, as a proxy on loopback in front of the real node."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest
import trustme
from opensearchpy import OpenSearch
from pydantic import SecretStr

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import EngineDeniedError, EngineError, EngineUnreachableError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.settings import Settings

pytestmark = pytest.mark.engine

USER, PASSWORD = "searcher", "a secret: ünlikely"
EXPECTED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def proxy_to(target: str) -> type[BaseHTTPRequestHandler]:
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != EXPECTED:
                self.answer(401, b'{"error": "Unauthorized", "status": 401}', "application/json")
                return
            kind = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            answer = httpx2.request(self.command, target + self.path, content=body, headers=kind)
            self.answer(answer.status_code, answer.content, answer.headers["Content-Type"])

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = forward  # noqa: N815

        def answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    return Proxy


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that refuses the certificate is what some of these tests are about."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure_url(node_url: str, authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = QuietServer(("127.0.0.1", 0), proxy_to(node_url))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def settings(url: str, **changes: Any) -> Settings:
    values: dict[str, Any] = {"username": USER, "password": SecretStr(PASSWORD), **changes}
    return Settings(url=url, **values)


def test_a_trusted_certificate_and_the_right_password_open_the_cluster(
    secure_url: str, ca_file: Path
) -> None:
    info = connect(settings(secure_url, ca_certs=ca_file)).info()
    assert info["version"]["number"] == "3.6.0"


def test_credentials_in_the_address_open_the_cluster(secure_url: str, ca_file: Path) -> None:
    userinfo = f"{quote(USER)}:{quote(PASSWORD)}@"
    found = Settings(url=secure_url.replace("://", f"://{userinfo}"), ca_certs=ca_file)
    assert found.url == secure_url
    assert connect(found).info()["version"]["number"] == "3.6.0"


def test_a_write_block_is_not_reported_as_wrong_credentials(
    client: OpenSearch, index_name: str
) -> None:
    client.indices.create(index=index_name, body={"settings": {"index.blocks.write": True}})
    with pytest.raises(EngineError, match="FORBIDDEN/8/index write") as caught:
        client.index(index=index_name, body={"a": 1})
    assert not isinstance(caught.value, EngineDeniedError)


def test_a_wrong_password_is_named_and_never_printed(secure_url: str, ca_file: Path) -> None:
    client = connect(settings(secure_url, ca_certs=ca_file, password=SecretStr("wrong-canary")))
    with pytest.raises(EngineDeniedError, match="refused the credentials") as caught:
        client.info()
    assert "canary" not in str(caught.value)


def test_an_unknown_authority_is_named(secure_url: str) -> None:
    with pytest.raises(EngineUnreachableError, match="TLS with https") as caught:
        connect(settings(secure_url)).info()
    assert "FUNNEL_CA_CERTS" in str(caught.value)


def test_commands_take_credentials_from_the_environment(
    secure_url: str,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FUNNEL_USERNAME", USER)
    monkeypatch.setenv("FUNNEL_PASSWORD", PASSWORD)
    monkeypatch.setenv("FUNNEL_CA_CERTS", str(ca_file))
    assert main(["pipeline", "show", "--url", secure_url, "--output", "json"]) == 0
    assert '"pipelines"' in capsys.readouterr().out
    monkeypatch.setenv("FUNNEL_PASSWORD", "wrong-canary")
    assert main(["pipeline", "show", "--url", secure_url]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert len(printed.err.strip().splitlines()) == 1
    assert "canary" not in printed.err + printed.out
    assert urlsplit(secure_url).netloc in printed.err
