"""The images and the compose file say what their page promises; no container engine is needed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from opensearch_funnel.engine.node.lock import node_lock
from opensearch_funnel.settings import SERVICE_PORT, Settings
from tests.unit.service.served_api import served_api

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / "docker"
DOCKERFILES = ("Dockerfile", "Dockerfile.gpu")
SERVICES = ("opensearch", "dashboards", "funnel")
SECRETS = ("OPENSEARCH_INITIAL_ADMIN_PASSWORD", "FUNNEL_SERVICE_TOKEN")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

each_dockerfile = pytest.mark.parametrize("name", DOCKERFILES)
each_service = pytest.mark.parametrize("name", SERVICES)


def instructions(name: str) -> list[tuple[str, str]]:
    """Return a Dockerfile as pairs of an instruction and what follows it."""
    text = (DOCKER / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, _, rest in pairs]


def last(name: str, word: str) -> str:
    """Return what the last instruction of a kind says: that of the stage that is run."""
    return [rest for found, rest in instructions(name) if found == word][-1]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read = yaml.safe_load((DOCKER / "compose.yml").read_text(encoding="utf-8"))
    assert set(read["services"]) == set(SERVICES)
    services: dict[str, Any] = read["services"]
    return services


@each_dockerfile
def test_an_image_is_made_in_stages_from_a_pinned_base_and_is_not_root(name: str) -> None:
    stages = [rest for word, rest in instructions(name) if word == "FROM"]
    assert [stage.split()[-1] for stage in stages] == ["build", "run"]
    base = next(rest for word, rest in instructions(name) if word == "ARG")
    assert re.fullmatch(r"\w+=[\w/]+:\d+\.\d+\.\d+-[\w.-]+", base)
    assert last(name, "USER") == "10001:10001"
    assert f'image.version="{VERSION}"' in last(name, "LABEL")


@each_dockerfile
def test_an_image_serves_and_keeps_what_it_fetches_in_a_volume(name: str) -> None:
    assert json.loads(last(name, "ENTRYPOINT")) == ["funnel"]
    assert json.loads(last(name, "CMD")) == ["serve", "--host", "0.0.0.0"]  # noqa: S104
    assert last(name, "EXPOSE") == str(SERVICE_PORT)
    assert f"FUNNEL_HOME={last(name, 'VOLUME')}" in last(name, "ENV")


@each_dockerfile
def test_an_image_has_one_of_the_two_runtimes(name: str) -> None:
    installed = [rest for word, rest in instructions(name) if "pip install" in rest]
    wanted = "gpu" if name.endswith("gpu") else "cpu"
    assert installed == [f'/opt/funnel/bin/pip install ".[{wanted},service]"']


@each_dockerfile
def test_all_that_an_image_copies_is_let_into_its_context(name: str) -> None:
    copied = [
        source
        for word, rest in instructions(name)
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*"
    assert sorted(copied) == sorted(line[1:] for line in ignored if line.startswith("!"))
    assert all((ROOT / source).exists() for source in copied)


def health_command(name: str) -> list[str]:
    _, _, command = last(name, "HEALTHCHECK").partition(" CMD ")
    words: list[str] = json.loads(command)
    return words


def asked(command: list[str], *, port: int) -> int:
    """Run a health check against another port, with this Python, and return its status."""
    here = [sys.executable if word == "python" else word for word in command]
    moved = [word.replace(f":{SERVICE_PORT}/", f":{port}/") for word in here]
    assert moved != here
    return subprocess.run(moved, capture_output=True, check=False, timeout=60).returncode


@each_dockerfile
def test_the_health_check_tells_a_service_that_runs_from_one_that_does_not(name: str) -> None:
    with served_api(token="0" * 16) as url:
        port = int(url.rpartition(":")[2])
        assert asked(health_command(name), port=port) == 0
    assert asked(health_command(name), port=port) == 1


def test_the_compose_file_asks_for_the_same_health(compose: dict[str, Any]) -> None:
    _, *command = compose["funnel"]["healthcheck"]["test"]
    assert command == health_command("Dockerfile")


@each_service
def test_a_service_is_not_root_and_is_watched(compose: dict[str, Any], name: str) -> None:
    service = compose[name]
    user, group = service["user"].split(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    assert service["security_opt"] == ["no-new-privileges:true"]
    health = service["healthcheck"]
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(health)
    assert "privileged" not in service
    assert service.get("network_mode") is None


@each_service
def test_a_service_is_published_on_loopback_alone(compose: dict[str, Any], name: str) -> None:
    ports = compose[name]["ports"]
    assert ports
    for port in ports:
        address, outside, inside = port.split(":")
        assert (address, outside) == ("127.0.0.1", inside)


def test_versions_are_those_of_the_node_that_the_tests_run_on(compose: dict[str, Any]) -> None:
    version = node_lock().version
    assert compose["opensearch"]["image"] == f"opensearchproject/opensearch:{version}"
    dashboards = f"opensearchproject/opensearch-dashboards:{version}"
    assert compose["dashboards"]["image"] == dashboards
    assert compose["funnel"]["image"] == f"opensearch-funnel:{VERSION}"


def test_secrets_are_required_and_have_no_default(compose: dict[str, Any]) -> None:
    text = (DOCKER / "compose.yml").read_text(encoding="utf-8")
    for secret in SECRETS:
        uses = re.findall(rf"\$\{{{secret}(.*?)\}}", text)
        assert uses
        assert all(use.startswith(":?") for use in uses), secret
    example = (DOCKER / "env.example").read_text(encoding="utf-8").splitlines()
    assert [line for line in example if line and not line.startswith("#")] == [
        f"{secret}=" for secret in SECRETS
    ]
    # A shell writes no password of another command line.
    health = " ".join(compose["opensearch"]["healthcheck"]["test"])
    assert "--config -" in health
    assert "--user" not in shlex.split(health.replace("$$", "$"))


def test_the_service_of_the_compose_file_is_set_by_settings_that_there_are(
    compose: dict[str, Any],
) -> None:
    service = compose["funnel"]
    known = {f"FUNNEL_{name.upper()}" for name in Settings.model_fields}
    assert set(service["environment"]) <= known
    assert service["environment"]["FUNNEL_SERVICE_URL"] == f"http://funnel:{SERVICE_PORT}"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert any(mount.startswith("/tmp") for mount in service["tmpfs"])  # noqa: S108
    assert service["volumes"] == [f"funnel-home:{last('Dockerfile', 'VOLUME')}"]
    assert service["depends_on"]["opensearch"] == {"condition": "service_healthy"}


def test_the_node_may_lock_its_memory_and_open_files(compose: dict[str, Any]) -> None:
    limits = compose["opensearch"]["ulimits"]
    assert limits["memlock"] == {"soft": -1, "hard": -1}
    assert limits["nofile"] == {"soft": 65536, "hard": 65536}


def test_the_page_says_that_nothing_of_it_was_run() -> None:
    page = (DOCKER / "README.md").read_text(encoding="utf-8")
    assert "not run**" in page
    for name in ("Dockerfile", "Dockerfile.gpu", "compose.yml", "env.example"):
        assert f"`{name}`" in page
