"""The routes of /search and of the page over HTTP, with a stand-in for the cluster."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import httpx2
import pytest

from opensearch_funnel.core.errors import (
    EngineDeniedError,
    EngineError,
    EngineUnreachableError,
    IndexMissingError,
    InvalidPlanError,
)
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.page.routes import page_routes
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.search_api import search_routes
from opensearch_funnel.service.search_api_answers import Answer, Hit
from opensearch_funnel.service.search_api_applied import (
    Found,
    SearchableIndex,
    UnknownIndexError,
)
from opensearch_funnel.service.search_api_request import SearchRequest, SystemName
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.service.tracing import HitTrace
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import served

FILMS = SearchableIndex(
    index="films",
    pipeline="funnel-films",
    plan="films.0a",
    fields=("title", "text"),
    searched_fields=("title", "text"),
    default=True,
)
TOKEN = "only-for-this-test"  # noqa: S105 - opens nothing else


class OneFilm:
    """A cluster with one film, or with a mood."""

    def __init__(self) -> None:
        self.raises: Exception | None = None
        self.asked: list[tuple[dict[str, Any], SystemName, bool]] = []

    def indices(self) -> list[SearchableIndex]:
        if self.raises is not None:
            raise self.raises
        return [FILMS]

    def search(self, asked: Mapping[str, Any], *, system: SystemName, trace: bool) -> Found:
        self.asked.append((dict(asked), system, trace))
        if self.raises is not None:
            raise self.raises
        if asked["index"] != "films":
            raise UnknownIndexError("no plan is applied to it")
        hit = Hit(
            doc_id="heat",
            rank=1,
            score=1.5,
            source={"title": "Heat"},
            highlight={"title": ["<em>Heat</em>"]},
            trace=HitTrace(decided_by="plain") if trace else None,
        )
        answer = Answer(
            system=system,
            took_ms=3,
            degraded=False,
            total={"value": 1, "relation": "eq"},
            hits=[hit],
        )
        return Found(index=FILMS, request=SearchRequest(**asked), answer=answer)


@contextmanager
def running(films: OneFilm, *, token: str | None = None) -> Iterator[str]:
    def nothing(plan_id: str) -> FunnelPlan:
        raise InvalidPlanError(f"no plan {plan_id!r}")

    app = create_app(
        LoadedPlans(read_plan=nothing, open_models=lambda _: PlanModels()),
        IndexTexts(connect(Settings(url="http://127.0.0.1:9"))),
        engine_url="http://127.0.0.1:9",
        preload=list,
        routers=[search_routes(films), page_routes()],
        token=token,
    )
    with served(app) as url:
        yield url


@pytest.fixture
def films() -> OneFilm:
    return OneFilm()


@pytest.fixture
def url(films: OneFilm) -> Iterator[str]:
    with running(films) as address:
        yield address


def test_a_search_and_what_it_leaves_out(url: str) -> None:
    answer = httpx2.post(f"{url}/search", json={"index": "films", "query": "heat"})
    assert answer.json() == {
        "index": "films",
        "query": "heat",
        "system": "funnel",
        "plan": "films.0a",
        "degraded": False,
        "took_ms": 3,
        "total": {"value": 1, "relation": "eq"},
        "hits": [{"id": "heat", "rank": 1, "score": 1.5, "source": {"title": "Heat"}}],
    }


def test_trace_and_highlight_come_when_they_are_asked_for(url: str, films: OneFilm) -> None:
    body = {"index": "films", "query": "heat", "highlight": True, "system": "bm25"}
    answer = httpx2.post(f"{url}/search?trace=true", json=body).json()
    assert answer["plan"] is None
    assert answer["hits"][0]["highlight"] == {"title": ["<em>Heat</em>"]}
    assert answer["hits"][0]["trace"]["decided_by"] == "plain"
    assert films.asked[0][1:] == ("bm25", True)


def test_an_address_asks_the_same_as_a_body(url: str, films: OneFilm) -> None:
    body = {
        "index": "films",
        "query": "red & blue",
        "size": 5,
        "from": 10,
        "fields": ["title^2", "text"],
        "source": ["year"],
        "highlight": True,
    }
    posted = httpx2.post(f"{url}/search?trace=true", json=body)
    params = {**body, "fields": "title^2, text", "source": "year", "trace": "true"}
    got = httpx2.get(f"{url}/search", params={k: str(v) for k, v in params.items()})
    assert got.json() == posted.json()
    assert films.asked[0] == films.asked[1]
    assert films.asked[0][0]["start"] == 10


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"query": "heat"}, "index: "),
        ({"index": "films"}, "query: "),
        ({"index": "films", "query": "heat", "sise": 3}, "sise: "),
        ({"index": "films", "query": "heat", "size": "many"}, "size: "),
        ({"index": "films", "query": "heat", "size": 500}, "size must be from 1 to 200"),
        ({"index": "films", "query": ""}, "the query is empty"),
        ({"index": "films", "query": "heat", "system": "both"}, "system: "),
        ({"index": "films", "query": "heat", "filter": {"year": {"index": "x"}}}, "filter year"),
        ({"index": "films", "query": "heat", "filter": {"a": {"b": {"c": 1}}}}, "filter"),
        ([1], "body"),
    ],
)
def test_bad_requests_get_one_line(url: str, body: Any, reason: str) -> None:
    answer = httpx2.post(f"{url}/search", json=body)
    assert answer.status_code == 400
    said = answer.json()
    assert said.keys() == {"error"}
    assert reason in said["error"]
    assert "\n" not in said["error"]


def test_a_body_that_is_no_json_is_a_bad_request(url: str) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx2.post(f"{url}/search", content=b'{"index": ', headers=headers)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownIndexError("no plan is applied to 'x'"), 404),
        (IndexMissingError("no such index [films]", status=404), 404),
        (EngineUnreachableError("no OpenSearch answers"), 503),
        (EngineDeniedError("refused the credentials", status=401), 502),
        (EngineError("OpenSearch refused (500)", status=500), 502),
        (EngineError("failed to parse date field [x]", status=400), 400),
        (RuntimeError("odd"), 500),
    ],
)
def test_what_the_cluster_says_gets_the_right_status(
    url: str, films: OneFilm, error: Exception, status: int
) -> None:
    films.raises = error
    for answer in (
        httpx2.post(f"{url}/search", json={"index": "films", "query": "heat"}),
        httpx2.get(f"{url}/search/indices"),
    ):
        assert answer.status_code == status
        assert str(error) in answer.json()["error"]


def test_what_the_cluster_says_of_a_search_is_not_logged(
    url: str, films: OneFilm, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kinds = ((EngineError, 400), (EngineError, 500), (IndexMissingError, 404))
    for kind, status in (*kinds, (EngineDeniedError, 403)):
        films.raises = kind("Failed to parse query [my secret]", status=status, kind="odd")
        answer = httpx2.post(f"{url}/search", json={"index": "films", "query": "heat"})
        assert "my secret" in answer.json()["error"]
        assert f"{kind.__name__}: status {status}, odd" in caplog.text
    assert "secret" not in caplog.text


def test_the_indices_are_listed(url: str) -> None:
    assert httpx2.get(f"{url}/search/indices").json() == {
        "indices": [
            {
                "index": "films",
                "pipeline": "funnel-films",
                "plan": "films.0a",
                "fields": ["title", "text"],
                "searched_fields": ["title", "text"],
                "default": True,
            }
        ]
    }


def test_the_token_guards_the_search_and_not_the_page(films: OneFilm) -> None:
    paths = ("/search/indices", "/search?index=films&query=heat")
    with running(films, token=TOKEN) as url:
        assert [httpx2.get(url + path).status_code for path in paths] == [401, 401]
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert [httpx2.get(url + p, headers=headers).status_code for p in paths] == [200, 200]
        assert httpx2.get(url).status_code == 200
        assert httpx2.get(f"{url}/page/page.js").status_code == 200


def test_the_page_loads_nothing_from_elsewhere_and_says_so(url: str) -> None:
    page = httpx2.get(url)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    linked = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert {"/page/page.css", "/page/page.js", "/page/icon.svg"} == set(linked)
    for path in linked:
        assert httpx2.get(url + path).status_code == 200


def test_no_file_of_the_page_names_another_host_or_writes_markup(url: str) -> None:
    names = [one.name for one in files("opensearch_funnel.service.page").iterdir()]
    shown = [name for name in names if name.endswith((".js", ".css", ".html", ".svg"))]
    assert {"index.html", "page.css", "page.js"} <= set(shown)
    for name in shown:
        path = "/" if name == "index.html" else f"/page/{name}"
        answer = httpx2.get(url + path)
        assert answer.status_code == 200, f"{name} is not served"
        content = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|innerHTML|insertAdjacentHTML|eval\(", content)


def test_other_files_of_the_package_are_not_served(url: str) -> None:
    for name in ("routes.py", "__init__.py", "..%2Fapp.py", "nothing.js"):
        assert httpx2.get(f"{url}/page/{name}").status_code == 404


def test_the_schema_tells_of_the_search(url: str) -> None:
    described = httpx2.get(f"{url}/openapi.json").json()
    assert {"/search", "/search/indices"} <= described["paths"].keys()
    assert "/page/{name}" not in described["paths"]
    assert "LegTrace" in described["components"]["schemas"]
