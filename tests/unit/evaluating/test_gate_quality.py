"""A baseline and what was measured again, compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.gating.checks import Check, Gate
from opensearch_funnel.evaluating.gating.gate_page import gate_lines, gate_markdown
from opensearch_funnel.evaluating.gating.quality import Again, Limits, judge_quality
from opensearch_funnel.evaluating.gating.snapshot import (
    Circumstances,
    Snapshot,
    Timing,
    read_snapshot,
    snapshot_of,
    write_snapshot,
)
from opensearch_funnel.evaluating.gating.wanted import only, wanted
from opensearch_funnel.evaluating.measures import Measure

NDCG, RECALL = Measure("nDCG", 10), Measure("R", 100)
QUICK = Timing(p50=20.0, p95=40.0, timed=200)
HERE = Circumstances(cpus=2, execution="native", opensearch="3.6.0")


def dataset(folder: Path, queries: int = 40, *, text: str = "text", grade: int = 1) -> Dataset:
    corpus = folder / "corpus.jsonl"
    if not corpus.exists():
        corpus.write_text('{"_id": "d", "title": "", "text": "t"}\n')
    ids = [f"q{number:02d}" for number in range(queries)]
    return Dataset(
        name="films",
        split="test",
        corpus=corpus,
        queries=tuple(Query(text=f"{text} {one}", query_id=one) for one in ids),
        qrels={one: {"d": grade} for one in ids},
        skipped_queries=0,
    )


def measured(
    data: Dataset,
    values: Mapping[str, float | Sequence[float]],
    *,
    latency: Timing | None = QUICK,
    by: Circumstances = HERE,
) -> Snapshot:
    """Give each system of a snapshot one value for all queries, or one for each."""
    ids = [query.query_id for query in data.queries]
    by_system = {
        name: {
            NDCG: dict(
                zip(ids, given if isinstance(given, Sequence) else [given] * len(ids), strict=True)
            )
        }
        for name, given in values.items()
    }
    timings = dict.fromkeys(values, latency) if latency else {}
    return snapshot_of(data, by_system, latency=timings, by=by)


def judged(before: Snapshot, now: Snapshot, **limits: float) -> Gate:
    return judge_quality(before, Again(snapshot=now), limits=Limits(**limits))


def named(gate: Gate, name: str) -> Check:
    (found,) = [check for check in gate.checks if check.name == name]
    return found


def test_the_same_again_passes(tmp_path: Path) -> None:
    made = measured(dataset(tmp_path), {"hybrid": 0.5})
    gate = judged(made, made)
    assert gate.passed
    assert gate.verdict == "passed: 4 of 4 checks"
    assert (gate.warnings, gate.notes) == ([], [])
    assert named(gate, "hybrid nDCG@10").figures["corrected_p"] == 1.0


def test_a_fall_on_every_query_fails_with_what_where_and_what_to_do(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    before = measured(data, {"bm25": 0.4, "hybrid": 0.5})
    now = measured(data, {"bm25": 0.4, "hybrid": [0.1, *[0.45] * 39]})
    gate = judged(before, now)
    assert not gate.passed
    (failed,) = gate.failed
    assert failed.name == "hybrid nDCG@10"
    line = failed.line()
    assert line.startswith(
        "failed: hybrid nDCG@10 fell by 0.0587 (0.5000 to 0.4412), 95 % interval"
    )
    assert "p < 0.0001 after Holm's correction; most at queries q00, q01, q02" in line
    assert "--update" in line
    assert "\n" not in line
    # The p of the one that fell is corrected for both.
    assert failed.figures["corrected_p"] == pytest.approx(2 / 20_001)
    assert (failed.figures["wins"], failed.figures["losses"]) == (0, 40)


def test_a_fall_within_the_tolerance_and_one_that_may_be_chance_pass(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    before, lower = measured(data, {"hybrid": 0.5}), measured(data, {"hybrid": 0.49})
    assert not judged(before, lower).passed
    allowed = judged(before, lower, tolerance=0.0101)
    assert allowed.passed
    assert "within the tolerance" in named(allowed, "hybrid nDCG@10").finding
    # A large fall on one query alone, and as many ups as downs.
    one = measured(data, {"hybrid": [0.0, *[0.5] * 39]})
    assert judged(before, one).passed
    mixed = measured(data, {"hybrid": [0.4, 0.6] * 20})
    assert judged(before, mixed).passed


def test_a_rise_passes(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    gate = judged(measured(data, {"hybrid": 0.5}), measured(data, {"hybrid": 0.6}))
    assert gate.passed
    assert named(gate, "hybrid nDCG@10").finding.startswith("rose by 0.1000")


def test_rounding_in_the_file_is_no_change(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    values = [1 / (number + 3) for number in range(40)]
    write_snapshot(measured(data, {"hybrid": values}), tmp_path / "b.json")
    gate = judged(read_snapshot(tmp_path / "b.json"), measured(data, {"hybrid": values}))
    figures = named(gate, "hybrid nDCG@10").figures
    assert (figures["wins"], figures["ties"], figures["losses"]) == (0, 40, 0)


def test_latency_is_judged_by_ratio_on_the_same_machine_only(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    slow = Timing(p50=31.0, p95=59.0, timed=200)
    before, now = measured(data, {"hybrid": 0.5}), measured(data, {"hybrid": 0.5}, latency=slow)
    gate = judged(before, now)
    assert [check.name for check in gate.failed] == ["hybrid p50"]
    assert "from 20.0 to 31.0 ms, 1.55 times" in gate.failed[0].finding
    assert judged(before, now, latency_ratio=1.6).passed
    off = judged(before, now, latency_ratio=0.0)
    assert [check.name for check in off.checks] == ["hybrid nDCG@10"]

    other = Circumstances(cpus=8, execution="native", opensearch="3.6.0")
    elsewhere = measured(data, {"hybrid": 0.5}, latency=slow, by=other)
    gate = judged(before, elsewhere)
    assert gate.passed
    assert named(gate, "hybrid p50").outcome == "not judged"
    assert "latency was not judged: the baseline is of 2 processors, this machine has 8" in (
        gate.warnings
    )
    assert any("hybrid p50 grew from 20.0 to 31.0 ms" in line for line in gate.warnings)


def test_a_few_milliseconds_are_noise_whatever_the_ratio(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    before = measured(data, {"bm25": 0.5}, latency=Timing(p50=1.0, p95=2.0, timed=40))
    now = measured(data, {"bm25": 0.5}, latency=Timing(p50=5.9, p95=6.9, timed=40))
    assert judged(before, now).passed
    later = measured(data, {"bm25": 0.5}, latency=Timing(p50=6.1, p95=7.1, timed=40))
    assert len(judged(before, later).failed) == 2


def test_timed_answers_that_miss_a_deadline_are_no_quick_ones(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    late = Timing(p50=20.0, p95=40.0, timed=200, degraded=11)
    before, now = measured(data, {"hybrid": 0.5}), measured(data, {"hybrid": 0.5}, latency=late)
    (failed,) = judged(before, now).failed
    assert failed.name == "hybrid timed answers"
    assert "without a stage: 11 of 200; 0 of 200 at the baseline" in failed.finding
    assert judged(now, now).passed


def test_latency_that_only_one_has_is_named(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    gate = judged(measured(data, {"hybrid": 0.5}), measured(data, {"hybrid": 0.5}, latency=None))
    assert gate.passed
    assert gate.warnings == [
        "no latency was compared for hybrid: the baseline or this measurement has none"
    ]


def test_degraded_answers_fail_and_judge_nothing(tmp_path: Path) -> None:
    made = measured(dataset(tmp_path), {"hybrid": 0.5})
    again = Again(snapshot=made, degraded={"hybrid": 3})
    gate = judge_quality(made, again, limits=Limits())
    (failed,) = gate.failed
    assert failed.line().startswith("failed: hybrid answers without a stage: 3, so its figures")
    assert named(gate, "hybrid nDCG@10").outcome == "not judged"


def test_a_system_that_is_not_there_fails_and_one_more_is_named(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    gate = judged(measured(data, {"hybrid": 0.5, "bm25": 0.4}), measured(data, {"bm25": 0.4}))
    assert [check.name for check in gate.failed] == ["hybrid"]
    gate = judged(measured(data, {"bm25": 0.4}), measured(data, {"hybrid": 0.5, "bm25": 0.4}))
    assert gate.passed
    assert gate.notes == ["not in the baseline, and not judged: hybrid"]


def test_queries_that_are_not_the_same_are_named_and_not_compared(tmp_path: Path) -> None:
    before = measured(dataset(tmp_path, 30), {"hybrid": 0.5})
    more = dataset(tmp_path, 35)
    queries = [
        *more.queries[2:4],
        Query(text="another text", query_id="q04"),
        *more.queries[5:],
    ]
    qrels = {**more.qrels, "q05": {"d": 2}}
    changed = Dataset(
        name="films",
        split="test",
        corpus=more.corpus,
        queries=tuple(queries),
        qrels={query.query_id: qrels[query.query_id] for query in queries},
        skipped_queries=0,
    )
    # What fell stands where nothing is compared.
    now = measured(changed, {"hybrid": [0.5, 0.5, 0.0, 0.0, *[0.5] * 24, *[0.0] * 5]})
    gate = judged(before, now)
    assert gate.passed
    other = "2 queries have another text or other judgments than at the baseline"
    assert list(gate.warnings) == [
        "2 queries of the baseline are missing, and not compared: q00, q01",
        f"{other}, and not compared: q04, q05",
        "5 queries are not in the baseline, and not compared: q30, q31, q32 and 2 more",
    ]
    assert named(gate, "hybrid nDCG@10").figures["queries"] == 26


def test_fewer_than_half_of_the_queries_are_no_gate(tmp_path: Path) -> None:
    before = measured(dataset(tmp_path, 40), {"hybrid": 0.5})
    assert judged(before, measured(dataset(tmp_path, 20), {"hybrid": 0.5})).passed
    gate = judged(before, measured(dataset(tmp_path, 19), {"hybrid": 0.5}))
    assert [check.name for check in gate.failed] == ["queries"]
    assert "only 19 of 40" in gate.failed[0].finding


def test_what_cannot_be_compared_is_an_error(tmp_path: Path) -> None:
    before = measured(dataset(tmp_path), {"hybrid": 0.5})
    other_split = msgspec.structs.replace(before, split="dev")
    with pytest.raises(InputError, match="split 'test', not 'dev'"):
        judged(before, other_split)
    other_texts = measured(dataset(tmp_path, text="other"), {"hybrid": 0.5})
    with pytest.raises(InputError, match="share no query"):
        judged(before, other_texts)
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "title": "", "text": "changed"}\n')
    with pytest.raises(InputError, match="on other documents: films had corpus"):
        judged(before, measured(dataset(tmp_path), {"hybrid": 0.5}))


def test_too_few_queries_to_show_a_fall_are_said(tmp_path: Path) -> None:
    data = dataset(tmp_path, 5)
    gate = judged(measured(data, {"hybrid": 0.5}), measured(data, {"hybrid": 0.0}))
    assert gate.passed
    (warning,) = gate.warnings
    assert warning.startswith("too few queries to show any fall in hybrid nDCG@10: 1 tests at ")
    assert warning.endswith("alpha 0.05 need 6 or more each")
    enough = dataset(tmp_path, 6)
    gate = judged(measured(enough, {"hybrid": 0.5}), measured(enough, {"hybrid": 0.0}))
    assert not gate.passed
    assert gate.warnings == []


def test_a_level_that_no_p_can_reach_is_said(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    before, now = (measured(data, dict.fromkeys("ab", value)) for value in (0.9, 0.1))
    gate = judged(before, now, alpha=0.00009)
    (warning,) = gate.warnings
    assert warning.startswith("no fall can be shown in a nDCG@10, b nDCG@10: of 2 tests at alpha ")
    assert gate.passed
    gate = judged(before, now, alpha=0.00011)
    assert gate.warnings == []
    assert not gate.passed


def test_a_fall_in_one_language_is_not_hidden_in_the_mean(tmp_path: Path) -> None:
    data = dataset(tmp_path, 100)
    before = measured(data, {"hybrid": 0.5})
    now = measured(data, {"hybrid": [*[0.45] * 25, *[0.55] * 65, *[0.3] * 5, *[0.5] * 5]})
    languages = {
        **{f"q{number:02d}": "de" for number in range(25)},
        **{f"q{number:02d}": "en" for number in range(25, 90)},
        **{f"q{number:02d}": "fi" for number in range(90, 95)},
    }
    gate = judge_quality(before, Again(snapshot=now, languages=languages), limits=Limits())
    assert [check.name for check in gate.failed] == ["hybrid nDCG@10 [de]"]
    assert named(gate, "hybrid nDCG@10 [en]").finding.startswith("rose")
    few = named(gate, "hybrid nDCG@10 [fi]")
    assert (few.outcome, few.figures["difference"]) == ("not judged", -0.2)
    assert few.finding == "was not judged: 5 queries are fewer than 20"
    assert gate.notes == ["5 queries have no language: q95, q96, q97 and 2 more"]


def test_what_changed_in_the_plan_is_told(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    old = {"alias": "a", "text_fields": ["t"], "rerank": {"enabled": False, "depth": 9}}
    new = {"alias": "b", "text_fields": [], "rerank": {"enabled": True, "depth": 8}}
    before, now = (
        measured(
            data,
            {"hybrid": 0.5},
            by=Circumstances(
                plan=plan, models=models, execution="native", opensearch=version, cpus=2
            ),
        )
        for plan, models, version in (
            (old, {"m": "0a"}, "3.5.0"),
            (new, {"m": "0b", "r": "0c"}, "3.6.0"),
        )
    )
    assert judged(before, now).notes == [
        "OpenSearch: 3.5.0 at the baseline, now 3.6.0",
        "changed since the baseline: text_fields ['t'] -> []",
        "changed since the baseline: rerank.enabled False -> True",
        "changed since the baseline: rerank.depth 9 -> 8",
        "changed since the baseline: model m 0a -> 0b",
        "changed since the baseline: model r none -> 0c",
    ]


def test_how_a_reranker_that_is_off_would_rerank_is_not_told(tmp_path: Path) -> None:
    before, now = (
        measured(
            dataset(tmp_path),
            {"hybrid": 0.5},
            by=Circumstances(plan={"rerank": {"enabled": False, "depth": depth}}, cpus=2),
        )
        for depth in (9, 8)
    )
    assert judged(before, now).notes == []


def test_a_baseline_comes_back_as_it_was_written(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    made = measured(data, {"hybrid": 0.5, "funnel": 1 / 3})
    path = tmp_path / "new" / "gate.json"
    write_snapshot(made, path)
    assert read_snapshot(path) == made
    assert [one.name for one in path.parent.iterdir()] == ["gate.json"]
    plain = json.loads(path.read_text())
    assert plain["systems"]["funnel"]["values"]["nDCG@10"][0] == 0.3333333333
    assert len(path.read_bytes()) < 3_000


def changed(**values: Any) -> bytes:
    plain: dict[str, Any] = {
        "format": "funnel gate baseline",
        "version": 1,
        "dataset": "d",
        "split": "test",
        "corpus": "c",
        "queries": {"q": "0a"},
        "systems": {"bm25": {"values": {"nDCG@10": [1.0]}}},
    }
    return json.dumps({**plain, **values}).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed|invalid"),
        (changed()[:-20], "truncated"),
        (b"[]", "Expected `object`"),
        (b"{}", "another kind of file"),
        (b'{"dataset": "films"}', "another kind of file"),
        (changed(version=2), "its version is 2, this funnel reads 1"),
        (changed(queries={}), "no queries"),
        (changed(systems={}), "no systems"),
        (changed(systems={"bm25": {}}), "values"),
        (changed(systems={"bm25": {"values": {"nDCG@10": [1.0, 2.0]}}}), "not one number"),
        (changed(systems={"bm25": {"values": {"nDCG@10": ["1"]}}}), "Expected `float`"),
        (changed(systems={"bm25": {"values": {"nDCG@10": [None]}}}), "Expected `float`"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "gate.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=why) as caught:
        read_snapshot(path)
    assert "\n" not in str(caught.value)
    assert "--update" in str(caught.value)


def test_a_baseline_that_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json is missing: write it with --update"):
        read_snapshot(tmp_path / "gone.json")
    with pytest.raises(InputError, match="cannot read"):
        read_snapshot(tmp_path)


def test_what_is_not_said_is_what_the_baseline_has(tmp_path: Path) -> None:
    made = measured(dataset(tmp_path), {"hybrid": 0.5, "bm25": 0.4})
    found = wanted(made)
    assert (found.split, found.systems, found.measures) == ("test", ("hybrid", "bm25"), (NDCG,))
    assert only(made, found) == made
    fewer = only(made, wanted(made, systems=["bm25"]))
    assert list(fewer.systems) == ["bm25"]
    assert fewer.systems["bm25"] == made.systems["bm25"]
    with pytest.raises(InputError, match="no dense; it has: hybrid, bm25"):
        only(made, wanted(made, systems=["dense"]))
    with pytest.raises(InputError, match=r"no R@100 of hybrid; it has: nDCG@10"):
        only(made, wanted(made, measures=[NDCG, RECALL]))


def test_a_gate_is_written_for_a_comment(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    gate = judged(measured(data, {"a|b": 0.5}), measured(data, {"a|b": 0.4}, latency=None))
    text = gate_markdown(gate)
    assert text.startswith("# Gate: films/test: 40 queries as at the baseline\n\nFailed: 1 of 1 ")
    assert "\n\nFailed: a\\|b nDCG@10 fell by 0.1000" in text
    assert "| a\\|b nDCG@10 | 40 | 0.5000 | 0.4000 | -0.1000 |" in text
    assert "Warning: no latency was compared" in text
    lines = list(gate_lines(gate))
    assert lines[-1] == "failed: 1 of 1 checks"
    assert lines[-2] == gate.failed[0].line()


def test_a_gate_that_judges_nothing_does_not_pass() -> None:
    idle = Check(name="a", outcome="not judged", finding="was not judged")
    gate = Gate(title="t", columns=(), checks=[idle])
    assert (gate.passed, gate.verdict) == (False, "failed: nothing was judged")
    assert gate.to_json()["passed"] is False


def test_the_gate_rarely_fails_by_chance_and_sees_a_fall(tmp_path: Path) -> None:
    data = dataset(tmp_path, 60)
    random = np.random.default_rng(5)
    alarms = seen = 0
    for _ in range(40):
        first = random.uniform(size=60)
        noise = random.normal(0, 0.1, size=60)
        before = measured(data, {"hybrid": first.tolist()}, latency=None)
        chance = measured(data, {"hybrid": (first + noise).tolist()}, latency=None)
        fallen = measured(data, {"hybrid": (first + noise - 0.06).tolist()}, latency=None)
        alarms += not judged(before, chance).passed
        seen += not judged(before, fallen).passed
    # Falls alone close the gate: half of the 5 in 100 that the level allows.
    assert alarms <= 3
    assert seen >= 38
