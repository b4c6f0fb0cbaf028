"""The client form as a system to measure, and what cannot be asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_funnel import Funnel, Query, Stage
from opensearch_funnel.build.evaluation_systems import Request
from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import Fusion
from opensearch_funnel.evaluating.funnel_systems import client_system
from opensearch_funnel.evaluating.systems import Answer
from opensearch_funnel.stages.fuse import Fuse
from opensearch_funnel.stages.rerank import Rerank
from opensearch_funnel.stages.retrieve import Retrieve
from opensearch_funnel.testing import DownScorer, LegsInMemory

QUERY = Query(text="fox", query_id="q1")
FOUND = LegsInMemory({"bm25": [LegHit(doc_id=d, score=s) for d, s in (("b", 2.0), ("a", 3.0))]})
STAGES: tuple[Stage, ...] = (
    Retrieve(FOUND),
    Fuse(("bm25",), weights=(1.0,), fusion=Fusion(technique="rrf")),
)


def test_a_funnel_answers_with_as_many_ids_as_were_asked_for() -> None:
    system = client_system(Funnel(STAGES), name="hybrid")
    assert system.name == "hybrid"
    assert system.search(QUERY, 10) == Answer(("a", "b"))
    assert system.search(QUERY, 1) == Answer(("a",))


def test_an_answer_without_one_of_its_stages_is_degraded() -> None:
    funnel = Funnel((*STAGES, Rerank(DownScorer())), ignore_failure=frozenset({"cross_encoder"}))
    assert client_system(funnel, name="funnel").search(QUERY, 10) == Answer(("a", "b"), True)


def test_the_client_form_has_no_deadlines() -> None:
    with pytest.raises(InputError, match="no deadlines"):
        Request(execution="client", keep_deadlines=True)


def test_a_leg_alone_has_no_client_form() -> None:
    with pytest.raises(InputError, match="only hybrid and funnel"):
        Request(execution="client", systems=("bm25", "dense"))


@pytest.mark.parametrize("refused", [["--deadline"], ["--systems", "bm25,sparse"]])
def test_what_makes_no_sense_with_the_client_form_exits_with_2(
    refused: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path), "--execution", "client", *refused]) == 2
    assert "client form" in capsys.readouterr().err
