"""The study's tables and drawings, of small figures and of those that are in the documentation."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fusion_study.__main__ import as_lines
from benchmarks.fusion_study.ablating import tried
from benchmarks.fusion_study.cases import VARIANTS
from benchmarks.fusion_study.constants import apart, in_the_product, named
from benchmarks.fusion_study.fitting import Recipe, fit
from benchmarks.fusion_study.folds import References, left_out
from benchmarks.fusion_study.plots import draw
from benchmarks.fusion_study.rows import row_of
from benchmarks.fusion_study.tables import tables
from benchmarks.fusion_study.telling import correlations, dense_shares, order_by_probes
from tests.unit.fusion_study.small import asked, case_of, regraded

ROOT = Path(__file__).resolve().parents[3]
LARGEST = 150_000


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    cases = [
        case_of(asked(seed, queries=8), variant, family=f"f{seed}")
        for seed in (1, 2)
        for variant in (VARIANTS[0], VARIANTS[1], VARIANTS[4])
    ]
    references = [References.of(case) for case in cases]
    weightings = left_out(cases, Recipe())
    found, product = named(fit(cases, Recipe())), named(in_the_product())
    natural = [case for case in cases if case.variant.kind == "natural"]
    order = asdict(order_by_probes(regraded(asked(3)))) | {"whole_alike": 1.0}
    legs = {"bm25": 0.5, "sparse": 0.25, "dense": 0.75}
    taught = {"queries": 2, "values": legs, "alike": 1 / 3}
    return {
        "left_out": [],
        "constants": {
            "found": found,
            "product": product,
            "apart": apart(found, product),
            "without": {family: named(one) for family, one in weightings.items()},
        },
        "rows": [
            asdict(row_of(case, own, weightings)) | {"product": 0.5}
            for case, own in zip(cases, references, strict=True)
        ],
        "ablations": [asdict(one) for one in tried(cases, references)],
        "correlations": {case.part: correlations(case) for case in natural},
        "shares": {
            case.part: dense_shares(weightings[case.family].weights(case), case) for case in natural
        },
        "probes": {"f1": {"real": legs, "sentence": order, "teacher": taught}},
    }


def test_tables_have_every_case_and_way(study: dict[str, Any]) -> None:
    text = tables(study)
    for line in (
        "| f1/test permuted bm25 | 8 |",
        "| without the gap |",
        "| gap |",
        "| f1 | teacher, queries | 0.50 / 0.25 / 0.75 | 1 of 3 |",
    ):
        assert line in text
    columns = [row.count("|") for row in text.split("## Ablations")[1].splitlines() if row]
    assert columns[: len(study["ablations"]) + 2] == [9] * (len(study["ablations"]) + 2)


def test_a_quick_study_has_its_tables(study: dict[str, Any]) -> None:
    kept = ("left_out", "constants", "rows")
    assert "## Ablations" not in tables({name: study[name] for name in kept})


def test_drawings_are_the_same_each_time(study: dict[str, Any], tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in draw(study, tmp_path)}
    assert set(first) == {"gains.png", "weights.png", "ablations.png"}
    assert {path.name: path.read_bytes() for path in draw(study, tmp_path)} == first


def test_figures_are_json_by_lines(study: dict[str, Any]) -> None:
    written = as_lines(study)
    assert json.loads(written) == json.loads(json.dumps(study))
    assert len(written.splitlines()) > len(study["rows"])


def test_the_documentation_has_the_figures_of_one_study() -> None:
    folder = ROOT / "docs" / "fusion"
    figures = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    assert (folder / "tables.md").read_text(encoding="utf-8") == tables(figures)
    page = (ROOT / "docs" / "fusion.md").read_text(encoding="utf-8")
    for name, way in ((way["name"], way) for way in figures["ablations"]):
        if f"| {name} |" in page:
            assert f"| {name} | {way['means']['natural']:.4f} |" in page
    for drawing in folder.glob("*.png"):
        assert f"fusion/{drawing.name}" in page
        assert drawing.stat().st_size < LARGEST
