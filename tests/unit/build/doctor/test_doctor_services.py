"""What the doctor says of services and of the installation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from opensearch_funnel.build.doctor.fixes import Fixes
from opensearch_funnel.build.doctor.installation import LocalModel
from opensearch_funnel.build.doctor.reading import Unread, unread
from opensearch_funnel.build.doctor.runtimes import CUDA, Runtime, installed_runtimes
from opensearch_funnel.build.doctor.services import Service, read_service
from opensearch_funnel.core.errors import EngineDeniedError
from opensearch_funnel.engine.search_pipelines import token_hash
from opensearch_funnel.settings import Settings
from tests.unit.build.doctor.healthy import (
    PLAN,
    SERVICE,
    URL,
    bad,
    facts,
    findings,
    installation,
    named,
    pipeline,
    service,
)

GIVEN, CANARY = "given-16-characters", "canary-2-of-16-chars"
SILENT = Unread(why="Connection refused")
REFUSED = unread(EngineDeniedError("refused (401): error from remote service: token", status=401))


def test_a_service_that_is_down_is_one_error() -> None:
    down = Service(url=SERVICE, plan_ids=(PLAN.plan_id,), unreachable="refused")
    spoiled = facts(services={SERVICE: down}, pipelines=(pipeline(called=SILENT),))
    found = bad(spoiled)
    assert set(found) == {"service.reachable"}
    assert found["service.reachable"].fix == f"funnel serve --port 8750 --url {URL}"
    assert named(spoiled, "service.from_node").finding == "not looked at: first service.reachable"


def test_a_service_on_another_machine_is_started_there() -> None:
    far = "http://10.0.0.7:8750"
    down = Service(url=far, plan_ids=(), unreachable="refused")
    found = bad(facts(services={far: down}))["service.reachable"]
    assert found.fix == f"funnel serve --port 8750 --host 10.0.0.7 --url {URL}"


def test_a_worker_that_is_down_is_waited_for() -> None:
    starting = service(down="the worker starts", plans=None)
    found = bad(facts(services={SERVICE: starting}, pipelines=(pipeline(called=SILENT),)))
    assert set(found) == {"service.reachable"}
    assert "the worker starts" in found["service.reachable"].finding


def test_the_clusters_own_machine_is_not_asked_from_another_one() -> None:
    there = read_service(SERVICE, plan_ids=(), token=None, cluster_url="https://search.example")
    assert there.elsewhere
    spoiled = facts(services={SERVICE: there})
    assert named(spoiled, "service.reachable").level == "skipped"
    assert named(spoiled, "service.from_node").level == "ok"


def test_a_service_that_only_the_cluster_does_not_reach_is_named() -> None:
    found = bad(facts(pipelines=(pipeline(called=SILENT),)))
    assert set(found) == {"service.from_node"}
    assert "Connection refused" in found["service.from_node"].finding


def test_versions_differ() -> None:
    older = service(identity={"service": "s", "version": "0.9", "engine": URL})
    found = bad(facts(services={SERVICE: older}))
    assert set(found) == {"service.version"}
    assert found["service.version"].fix == "python3 -m pip install opensearch-funnel==0.9"


@pytest.mark.parametrize(
    ("state", "level", "fix"),
    [
        ("loading", "warning", "funnel models pull splade-tiny"),
        ("failed: cannot fetch x", "error", "funnel models pull splade-tiny"),
        ("failed: onnxruntime is not installed: …", "error", "python3 -m pip install"),
        ("failed: no plan 'p' in this cluster", "error", "funnel pipeline apply --index films"),
    ],
)
def test_plans_that_are_not_loaded(state: str, level: str, fix: str) -> None:
    waiting = service(plans={PLAN.plan_id: state})
    found = bad(facts(services={SERVICE: waiting}, pipelines=(pipeline(called=SILENT),)))
    assert set(found) == {"service.plan"}
    assert found["service.plan"].level == level
    assert found["service.plan"].fix.startswith(fix)


def test_a_service_of_another_cluster_says_why_it_has_no_plan() -> None:
    other = service(
        identity={"service": "s", "version": "1.0", "engine": "http://other:9200"},
        plans={PLAN.plan_id: "failed: no plan"},
    )
    found = bad(facts(services={SERVICE: other}))["service.plan"]
    assert "it belongs to the cluster at http://other:9200" in found.finding


def test_a_service_that_refuses_the_connectors_is_one_error() -> None:
    refusing = pipeline(called=REFUSED)
    found = bad(facts(pipelines=(refusing,), token=GIVEN))
    assert set(found) == {"service.token"}
    assert found["service.token"].advice == ""
    found = bad(facts(pipelines=(refusing,), services={SERVICE: service(refused=True, plans=None)}))
    assert set(found) == {"service.token"}
    assert "FUNNEL_SERVICE_TOKEN" in found["service.token"].advice


def test_a_token_of_this_shell_that_is_the_connectors_is_no_warning() -> None:
    carried = token_hash(GIVEN, plan_id=PLAN.plan_id)
    same = pipeline(applied=replace(pipeline().applied, token_hash=carried))
    refused = {SERVICE: service(refused=True, shown=True, plans=None)}
    assert bad(facts(pipelines=(same,), services=refused, token=GIVEN)) == {}
    assert set(bad(facts(services=refused, token=GIVEN))) == {"service.token"}


def test_a_service_that_was_not_named_here_is_not_shown_the_token() -> None:
    unshown = service(refused=True, shown=False, plans=None)
    spoiled = facts(services={SERVICE: unshown}, token=GIVEN)
    assert bad(spoiled) == {}
    assert named(spoiled, "service.plan").level == "skipped"
    assert f"{SERVICE} with --service-url" in named(spoiled, "service.plan").advice


def test_a_user_without_the_right_to_predict_hears_of_it() -> None:
    denied = unread(
        EngineDeniedError(
            "no permissions for [cluster:admin/opensearch/ml/predict] and User [name=ann]",
            status=403,
        )
    )
    found = bad(facts(pipelines=(pipeline(called=denied),)))
    assert set(found) == {"rights.predict"}
    assert "searches of ann" in found["rights.predict"].finding
    assert "roles/funnel_search" in found["rights.predict"].fix


def test_two_runtimes_are_told_apart() -> None:
    both = Runtime(installed={"onnxruntime": "1.2", "onnxruntime-gpu": "1.3"})
    found = bad(facts(installation=installation(runtime=both)))["install.runtime"]
    assert found.fix == (
        "python3 -m pip uninstall -y onnxruntime onnxruntime-gpu && "
        "python3 -m pip install --no-deps onnxruntime==1.2"
    )
    found = bad(facts(installation=installation(runtime=both, has_gpu=True)))["install.runtime"]
    assert found.fix.endswith("onnxruntime-gpu==1.3")


def test_a_second_runtime_on_the_path_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnxruntime_openvino", "onnxruntime_extensions"):
        info = tmp_path / f"{name}-9.9.dist-info"
        info.mkdir()
        dist = name.replace("_", "-")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = installed_runtimes()
    assert found["onnxruntime-openvino"] == "9.9"
    assert "onnxruntime-extensions" not in found


def test_a_runtime_that_cannot_be_used_is_installed_again() -> None:
    broken = Runtime(installed={"onnxruntime": "1.2"}, broken="ImportError: x")
    found = bad(facts(installation=installation(runtime=broken)))
    assert set(found) == {"install.runtime"}
    assert "--force-reinstall onnxruntime==1.2" in found["install.runtime"].fix


@pytest.mark.parametrize(
    ("listed", "used", "has_gpu", "level"),
    [
        ([CUDA], [CUDA], True, "ok"),
        ([CUDA], [], True, "warning"),
        ([CUDA], [], False, "warning"),
        ([], [], True, "warning"),
        ([], [], False, "ok"),
    ],
)
def test_gpus(listed: list[str], used: list[str], has_gpu: bool, level: str) -> None:
    runtime = Runtime(installed={"onnxruntime-gpu": "1.2"}, listed=listed, used=used)
    spoiled = facts(installation=installation(runtime=runtime, has_gpu=has_gpu))
    assert named(spoiled, "install.gpu").level == level


def test_what_serving_lacks_matters_where_nothing_serves() -> None:
    bare = installation(runtime=Runtime(installed={}), missing={"service": ["fastapi"]})
    assert bad(facts(installation=bare)) == {}
    found = bad(facts(installation=bare, pipelines=(), services={}, probes={}))
    assert {name: one.level for name, one in found.items()} == {
        "install.runtime": "warning",
        "install.packages": "warning",
    }
    assert found["install.packages"].fix == "python3 -m pip install 'opensearch-funnel[service]'"


def test_models_that_are_broken_or_others_are_named() -> None:
    broken = LocalModel(name="m", broken=("model.onnx does not match its SHA-256",), here=True)
    found = bad(facts(installation=installation(models=(broken,))))
    assert found["models.files"].fix == "funnel models pull m"
    other = LocalModel(name="m", wanted="a", fingerprint="b", here=True)
    found = bad(facts(installation=installation(models=(other,))))
    assert {name: one.level for name, one in found.items()} == {"models.fingerprints": "warning"}
    silent = facts(installation=installation(models=(other,)), pipelines=(pipeline(called=SILENT),))
    assert bad(silent)["models.fingerprints"].level == "error"
    absent = LocalModel(name="m", here=False)
    assert bad(facts(installation=installation(models=(absent,)))) == {}


def test_no_fix_holds_a_secret() -> None:
    settings = Settings(
        url="https://search.example:9200",
        username="ann",
        password="canary-1",  # type: ignore[arg-type]  # noqa: S106 - looked for below
        service_token=CANARY,  # type: ignore[arg-type]
        ca_certs=Path("/etc/our ca.pem"),
    )
    spoiled = facts(pipelines=(pipeline(body=None, called=SILENT),), token=CANARY)
    told = str(findings(spoiled, settings=settings))
    assert "canary" not in told
    fixes = Fixes(settings)
    assert fixes.curl("GET", "/_cat/indices?v") == (
        "curl -fsS -u \"$FUNNEL_USERNAME:$FUNNEL_PASSWORD\" --cacert '/etc/our ca.pem' -X GET "
        "'https://search.example:9200/_cat/indices?v'"
    )
    unchecked = Fixes(settings.model_copy(update={"verify_certs": False}))
    assert " -k " in unchecked.curl("GET", "/")
