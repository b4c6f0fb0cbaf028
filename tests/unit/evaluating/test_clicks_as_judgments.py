"""Clicks as judgments: what a log says, the bias of the places taken out of it, and the grades."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result

from opensearch_funnel.cli.judgments import judgments
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.labelling.click_grades import as_judgments, graded
from opensearch_funnel.evaluating.labelling.click_log import Shown, read_click_log
from opensearch_funnel.evaluating.labelling.click_model import ClickModel, fit_click_model

QUERIES, PLACES = 20, 10
EXAMINATION = 1 / np.arange(1, PLACES + 1) ** 0.8


# -- the model, against clicks whose making is known


def simulated(
    *, searches: int, moved: float, seed: int = 0
) -> tuple[list[Shown], npt.NDArray[np.float64]]:
    """Let a search that is good, not perfect, show documents, and people click by the model.

    Args:
        searches: of each query.
        moved: how far a document moves from search to search, in places.
        seed: of the numbers.

    Returns:
        What was shown, and the true attractiveness by query and document.
    """
    rng = np.random.default_rng(seed)
    truth = rng.beta(1, 4, (QUERIES, PLACES))
    views: Counter[tuple[int, int, int]] = Counter()
    clicks: Counter[tuple[int, int, int]] = Counter()
    for query, attractive in enumerate(truth):
        ranked = np.argsort(-(attractive + rng.normal(0, 0.25, PLACES)))
        for _ in range(searches):
            order = ranked[np.argsort(np.arange(PLACES) + rng.normal(0, moved, PLACES))]
            clicked = rng.random(PLACES) < EXAMINATION * attractive[order]
            for place, document in enumerate(order.tolist()):
                views[query, document, place + 1] += 1
                clicks[query, document, place + 1] += bool(clicked[place])
    shown = [
        Shown(query=f"q{q}", doc_id=f"d{d}", position=p, views=count, clicks=clicks[q, d, p])
        for (q, d, p), count in sorted(views.items())
    ]
    return shown, truth


def table(values: Any) -> npt.NDArray[np.float64]:
    return np.array([[values[f"q{q}", f"d{d}"] for d in range(PLACES)] for q in range(QUERIES)])


def rates(shown: Sequence[Shown], *, over_expected: bool = False) -> npt.NDArray[np.float64]:
    """Return clicks over views; or over the clicks that the places' mean rates expect (COEC)."""
    clicks: Counter[Any] = Counter()
    expected: dict[Any, float] = defaultdict(float)
    of_place = {
        place: sum(s.clicks for s in shown if s.position == place)
        / sum(s.views for s in shown if s.position == place)
        for place in range(1, PLACES + 1)
    }
    for s in shown:
        clicks[s.query, s.doc_id] += s.clicks
        expected[s.query, s.doc_id] += s.views * (of_place[s.position] if over_expected else 1)
    return table({key: clicks[key] / expected[key] for key in expected})


def right_pairs(found: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> float:
    """Return the share of pairs of a query's documents, clearly apart, that are in their order."""
    apart = truth[:, :, None] > truth[:, None, :] + 0.02
    ordered = found[:, :, None] > found[:, None, :]
    return float((apart & ordered).sum() / apart.sum())


@pytest.mark.parametrize("seed", range(4))
def test_the_bias_of_places_and_the_attractiveness_of_documents_are_recovered(seed: int) -> None:
    shown, truth = simulated(searches=2_000, moved=1.5, seed=seed)
    model = fit_click_model(shown)
    assert model.converged
    assert (model.moved, model.groups) == (QUERIES * PLACES, 1)
    assert list(model.examination.values()) == pytest.approx(EXAMINATION, abs=0.03)
    assert table(model.attractiveness) == pytest.approx(truth, abs=0.12)
    # What stands on top is clicked for standing there; the mean rate of its place, which COEC
    # divides by, is high because good documents stand there.
    corrected = right_pairs(table(model.attractiveness), truth)
    assert corrected > 0.97
    assert right_pairs(rates(shown), truth) < 0.94
    assert right_pairs(rates(shown, over_expected=True), truth) < 0.94


def test_a_worse_document_that_always_stands_higher_is_ranked_lower_once_the_bias_is_known() -> (
    None
):
    moving = [
        Shown(query="a", doc_id=f"d{n}", position=place, views=4_000, clicks=clicks)
        for n in range(3)
        for place, clicks in ((1, 1_600), (2, 400))  # the second place is seen a quarter as often
    ]
    fixed = [
        Shown(query="b", doc_id="worse", position=1, views=1_000, clicks=200),
        Shown(query="b", doc_id="better", position=2, views=1_000, clicks=100),
    ]
    model = fit_click_model([*moving, *fixed])
    assert model.examination == pytest.approx({1: 1.0, 2: 0.25}, abs=0.01)
    assert model.attractiveness["b", "worse"] == pytest.approx(0.2, abs=0.01)
    assert model.attractiveness["b", "better"] == pytest.approx(0.4, abs=0.02)


def test_where_no_document_moved_the_places_are_said_to_be_apart() -> None:
    shown, _ = simulated(searches=50, moved=0)
    model = fit_click_model(shown)
    assert (model.moved, model.groups) == (0, PLACES)
    joined = [
        *shown,
        Shown(query="q0", doc_id="d0", position=1, views=1, clicks=0),
        Shown(query="q0", doc_id="d0", position=2, views=1, clicks=0),
    ]
    assert fit_click_model(joined).groups in {PLACES - 1, PLACES - 2}


def test_one_click_in_one_view_makes_no_document_perfect() -> None:
    shown = [Shown(query="a", doc_id=f"d{n}", position=1, views=100, clicks=10) for n in range(20)]
    lucky = Shown(query="b", doc_id="lucky", position=1, views=1, clicks=1)
    model = fit_click_model([*shown, lucky])
    assert model.mean < model.attractiveness["b", "lucky"] < 3 * model.mean
    weak = fit_click_model([*shown, lucky], prior_views=0.1)
    assert weak.attractiveness["b", "lucky"] > 6 * weak.mean


def test_nothing_can_be_learnt_without_clicks() -> None:
    nothing = [Shown(query="a", doc_id="d", position=1, views=9, clicks=0)]
    with pytest.raises(InputError, match="nothing that was shown was clicked"):
        fit_click_model(nothing)


def test_grades_count_the_cuts_that_are_reached() -> None:
    shown = [Shown(query="a", doc_id=f"d{n}", position=1, views=10, clicks=1) for n in range(6)]
    values = (0.04, 0.05, 0.099, 0.1, 0.199, 0.2)
    model = ClickModel(
        examination={1: 1.0},
        attractiveness={("a", f"d{n}"): value for n, value in enumerate(values)},
        mean=0.1,
        moved=0,
        groups=1,
        converged=True,
    )
    found = graded(shown, model)
    assert [estimate.grade for estimate in found.estimates] == [0, 1, 1, 2, 2, 3]
    assert [one.grade for one in graded(shown, model, cuts=(1.5,)).estimates] == [0, 0, 0, 0, 1, 1]
    made = as_judgments(found.estimates)
    assert made.made_ids
    assert list(made.queries[0].grades.values()) == [0, 1, 1, 2, 2, 3]
    with pytest.raises(InputError, match="the most is 10"):
        graded(shown, model, min_views=11)
    for cuts in ((), (1.0, 1.0), (0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(InputError, match="--cuts must be"):
            graded(shown, model, cuts=cuts)


# -- the log


def query(query_id: str, text: str | None, *hits: str, **more: Any) -> dict[str, Any]:
    found = {"query_id": query_id, "user_query": text, "application": "shop", **more}
    return {**found, "query_response_hit_ids": list(hits)} if hits else found


def event(
    action: str, query_id: str | None, doc_id: Any, place: Any = None, **more: Any
) -> dict[str, Any]:
    attributes: dict[str, Any] = {"object": {"object_id": doc_id}}
    if place is not None:
        attributes["position"] = {"ordinal": place}
    return {
        "action_name": action,
        "query_id": query_id,
        "application": "shop",
        "event_attributes": attributes,
        **more,
    }


def log_of(tmp_path: Path, *entries: dict[str, Any]) -> list[Path]:
    path = tmp_path / "log.ndjson"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return [path]


def rows(shown: Sequence[Shown]) -> list[tuple[str, str, int, int, int]]:
    return [(s.query, s.doc_id, s.position, s.views, s.clicks) for s in shown]


def test_impressions_and_clicks_are_put_together_by_search(tmp_path: Path) -> None:
    found = read_click_log(
        log_of(
            tmp_path,
            {"index": {"_index": "ubi_queries"}},
            query("1", "Red dress"),
            event("click", "1", "b"),  # before its impression, and without a place of its own
            event("impression", "1", "a", 0),
            event("impression", "1", "b", 1),
            event("click", "1", "b", 1),
            query("2", " red  DRESS"),
            {"_index": "ubi_events", "_source": event("impression", "2", "a", 0.0)},
            event("impression", "2", 7, 1),
            event("click", "2", "a", 0),
            query("3", "red dress"),
            event("impression", "3", "b", 0),
            event("impression", "3", "b", 5),  # once more: the first place counts
        )
    )
    assert (found.application, found.searches, found.findings) == ("shop", 3, ())
    assert rows(found.shown) == [
        ("Red dress", "7", 1, 1, 0),
        ("Red dress", "a", 0, 2, 1),
        ("Red dress", "b", 0, 1, 0),
        ("Red dress", "b", 1, 1, 1),
    ]


def test_what_cannot_be_used_is_named_and_counted(tmp_path: Path) -> None:
    found = read_click_log(
        log_of(
            tmp_path,
            query("1", "red"),
            event("impression", "1", "a", 1),
            event("click", "1", "a"),
            event("impression", "1", "b"),
            event("impression", "1", "c", "2"),
            event("impression", "1", "d", True),
            event("click", "1", "z"),
            event("impression", "1", None, 3),
            {"action_name": "click", "query_id": "1", "application": "shop"},
            event("impression", "9", "a", 1),
            event("impression", None, "a", 1),
            query("8", "blue"),
            query("8", "green"),
            event("impression", "8", "a", 1),
            event("impression", "8", "b", 1, user_query="Blue"),
            event("add_to_cart", "1", "a", 1),
            query("7", "  "),
        )
    )
    assert {finding.kind.name: finding.count for finding in found.findings} == {
        "OTHER_ACTION": 1,
        "NO_DOCUMENT": 2,
        "NO_POSITION": 3,
        "SEARCH_WITHOUT_TEXT": 2,
        "SEARCH_OF_TWO": 1,
        "CLICK_NOT_SHOWN": 1,
    }
    assert rows(found.shown) == [("Blue", "b", 1, 1, 0), ("red", "a", 1, 1, 1)]
    again = read_click_log(
        [tmp_path / "log.ndjson"], clicks=["add_to_cart", "click"], impression="impression"
    )
    assert "OTHER_ACTION" not in {finding.kind.name for finding in again.findings}


def test_lists_of_hits_count_as_shown_only_where_a_page_logs_no_impressions(
    tmp_path: Path,
) -> None:
    entries = (
        query("1", "red", "a", "b", "c"),
        query("1", "red", "c", "d"),  # the next page, of which nobody says where it begins
        query("2", "red", "b", "a"),
        event("click", "1", "b"),
        event("click", "1", "d"),
    )
    found = read_click_log(log_of(tmp_path, *entries))
    assert rows(found.shown) == [
        ("red", "a", 1, 1, 0),
        ("red", "a", 2, 1, 0),
        ("red", "b", 1, 1, 0),
        ("red", "b", 2, 1, 1),
        ("red", "c", 3, 1, 0),
    ]
    assert {finding.kind.name: finding.count for finding in found.findings} == {
        "SHOWN_BY_LIST": 2,
        "LATER_PAGE": 1,
        "CLICK_NOT_SHOWN": 1,
    }
    with_one = read_click_log(log_of(tmp_path, *entries, event("impression", "2", "b", 1)))
    assert rows(with_one.shown) == [("red", "b", 1, 1, 0)]
    assert with_one.searches == 1


def test_a_log_that_says_nothing_of_what_was_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing says what was shown"):
        read_click_log(log_of(tmp_path, query("1", "red"), event("click", "1", "a")))
    with pytest.raises(InputError, match="no event is a click: name the action"):
        read_click_log(log_of(tmp_path, query("1", "red"), event("impression", "1", "a", 1)))


def test_several_pages_are_not_mixed(tmp_path: Path) -> None:
    def page(name: str) -> list[dict[str, Any]]:
        return [
            query("1", "red", application=name),
            event("impression", "1", "a", 1, application=name),
            event("click", "1", "a", application=name),
        ]

    paths = log_of(tmp_path, *page("shop"), *page("blog"), *page("idle")[:2])
    with pytest.raises(InputError, match=r"several applications have clicks \('blog', 'shop'\)"):
        read_click_log(paths)
    assert rows(read_click_log(paths, application="blog").shown) == [("red", "a", 1, 1, 1)]
    with pytest.raises(InputError, match="no clicks of application 'idle'"):
        read_click_log(paths, application="idle")


def test_searches_need_not_name_the_application_of_their_events(tmp_path: Path) -> None:
    nameless = {"query_id": "1", "user_query": "red", "query_response_hit_ids": ["b", "a"]}
    other = query("2", "red", "a", application="blog")
    click = event("click", "1", "a")
    found = read_click_log(log_of(tmp_path, nameless, other, click))
    assert rows(found.shown) == [("red", "a", 2, 1, 1), ("red", "b", 1, 1, 0)]
    seen = event("impression", "1", "a", 4)
    found = read_click_log(log_of(tmp_path, nameless, other, click, seen))
    assert rows(found.shown) == [("red", "a", 4, 1, 1)]


# -- the command


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(judgments, ["clicks", *arguments])


@pytest.mark.datasets
def test_the_log_of_the_esci_sample_becomes_judgments(datasets: Path, tmp_path: Path) -> None:
    log, target = datasets / "esci_us_ubi" / "ubi_queries_events.ndjson", tmp_path / "c.json"
    assert "several applications have clicks ('Chorus', 'esci_ubi_sample')" in str(
        _run(str(log), str(target)).exception
    )
    result = _run(str(log), str(target), "--application", "Chorus", "--output", "json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {name: found[name] for name in ("searches", "views", "clicks", "pairs")} == {
        "searches": 58,
        "views": 931,
        "clicks": 101,
        "pairs": 489,
    }
    assert found["converged"]
    assert found["judged_pairs"] == len(found["estimates"]) == 35
    kinds = {f["kind"]: f["count"] for f in found["findings"]}
    assert kinds == {
        "other_action": 733,
        "search_without_text": 87,
        "search_of_two": 7,
        "click_not_shown": 41,
        "few_views": 454,
    }
    written = json.loads(target.read_text(encoding="utf-8"))
    assert written["description"] == "Estimated from clicks by a position-based model"
    ratings = {
        (entry["query"], one["docId"]): float(one["rating"])
        for entry in written["judgmentRatings"]
        for one in entry["ratings"]
    }
    assert ratings == {(e["query"], e["document"]): e["grade"] for e in found["estimates"]}


@pytest.mark.datasets
def test_what_a_log_cannot_tell_is_said(datasets: Path, tmp_path: Path) -> None:
    log = str(datasets / "esci_us_ubi" / "ubi_queries_events.ndjson")
    sample = ("--application", "esci_ubi_sample")
    result = _run(log, str(tmp_path / "c.csv"), *sample, "--min-views", "4", "--dry-run")
    assert "200 searches; 0 of 595 pairs in several places" in result.stdout
    assert "warning: the places fall into 5 groups that no document moved between" in result.stdout
    assert "would write" in result.stdout
    assert not (tmp_path / "c.csv").exists()
    refused = _run(log, str(tmp_path / "c.csv"), *sample)
    assert "no document was shown 10 times for one query (the most is 6)" in str(refused.exception)
    refused = _run(log, str(tmp_path / "c.ndjson"), *sample, "--min-views", "4")
    assert "would be a query set, which holds no judgments" in str(refused.exception)
    assert _run(log, str(tmp_path / "c.csv"), *sample, "--cuts", "1;2").exit_code == 2


def test_queries_and_events_may_be_apart_and_nothing_is_replaced(tmp_path: Path) -> None:
    entries = [
        entry
        for n in range(12)
        for entry in (
            event("impression", str(n), "a", n % 2),
            event("impression", str(n), "b", (n + 1) % 2),
            event("click", str(n), "a"),
        )
    ]
    (log,) = log_of(tmp_path, *entries)
    queries = tmp_path / "queries.ndjson"
    queries.write_text("".join(json.dumps(query(str(n), "red")) + "\n" for n in range(12)))
    arguments = (str(log), str(tmp_path / "c.csv"), "--queries", str(queries))
    result = _run(*arguments)
    assert "1 queries, 2 judgments (1 with grade 0, 1 with grade 2)" in result.stdout, result
    assert (tmp_path / "c.csv").read_text() == "query,docid,rating\nred,a,2\nred,b,0\n"
    assert "is there already" in str(_run(*arguments).exception)
    assert _run(*arguments, "--force").exit_code == 0
