"""A record is on disk whole or not at all, comes back as it was, and is refused where stale."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import InputError, InvalidPlanError, InvalidRankingError
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import Reranking
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.replaying.many import Replays
from opensearch_funnel.evaluating.replaying.record import (
    Asker,
    FirstStage,
    Origin,
    Record,
    recorded,
)
from opensearch_funnel.evaluating.replaying.record_file import load_record, save_record
from opensearch_funnel.evaluating.replaying.replay import replayed_order
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.testing import LegsInMemory, OverlapScorer, SourcesInMemory

ORIGIN = Origin(index="films-1", plan="p", rerankers={"last": "f"}, queries="q")
SETTING = Setting(
    legs=("bm25",), weights=(1.0,), depth=3, rerank=Reranking(cascade=False, model="last", depth=2)
)
HITS = [
    LegHit(doc_id="a", score=0.1 + 0.2, doc_number=4),
    LegHit(doc_id="b\ud800é", score=1e-300, shard=1),
    LegHit(doc_id="gone", score=3.0, doc_number=0),
    LegHit(doc_id="not found", score=0.0),
]


def record() -> Record:
    stage = FirstStage(
        legs=LegsInMemory({"bm25": HITS, "dense": HITS[:1]}),
        names=("bm25", "dense"),
        depth=3,
        version=(3, 6),
    )
    queries = [Query(text="red fox", query_id="1"), Query(text="", query_id="2")]
    made = stage.record(queries, origin=ORIGIN)
    sources = SourcesInMemory({"a": {"title": "the red fox"}})
    ask = Asker(scorers={"last": OverlapScorer()}, sources=sources, text_fields=("title",))
    ask.fill(made, 0, model="last", places=[0, 2])
    return made


def assert_same(one: Record, other: Record) -> None:
    assert (one.origin, one.legs, one.depth) == (other.origin, other.legs, other.depth)
    assert (one.version, one.texts) == (other.version, other.texts)
    for mine, its in zip(one.queries, other.queries, strict=True):
        assert (mine.query, mine.doc_ids) == (its.query, its.doc_ids)
        for name in ("shards", "numbers", "raw"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(its, name))
        for model in {*mine.scores, *its.scores}:
            np.testing.assert_array_equal(mine.scores_of(model), its.scores_of(model))


def test_a_record_keeps_what_was_found_to_the_last_digit() -> None:
    [first, _] = record().queries
    assert first.doc_ids == ("a", "b\ud800é", "gone"), "what scores 0 was not found"
    assert first.raw.tolist() == [[0.1 + 0.2, 0.1 + 0.2], [1e-300, 0.0], [3.0, 0.0]]
    assert first.numbers.tolist() == [4, -1, 0]
    assert record().texts == {"a": "the red fox", "gone": ""}
    assert first.scores_of("last").tolist()[::2] == [2.0, 0.0]
    assert np.isnan(first.scores_of("last")[1])


def test_a_record_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.npz"
    made = record()
    save_record(made, path)
    assert_same(load_record(path, origin=ORIGIN), made)
    assert [file.name for file in path.parent.iterdir()] == ["record.npz"]


def test_a_record_of_nothing_comes_back(tmp_path: Path) -> None:
    made = replace(record(), queries=(), texts={})
    save_record(made, tmp_path / "r.npz")
    assert_same(load_record(tmp_path / "r.npz", origin=ORIGIN), made)


@pytest.mark.parametrize(
    ("now", "named"),
    [
        (replace(ORIGIN, index="films-2"), "index"),
        (replace(ORIGIN, plan="other"), "plan"),
        (replace(ORIGIN, rerankers={"last": "g"}), "rerankers"),
        (replace(ORIGIN, index="i", queries="r"), "index and queries"),
    ],
)
def test_a_record_of_something_else_is_refused(tmp_path: Path, now: Origin, named: str) -> None:
    save_record(record(), tmp_path / "r.npz")
    assert now.fingerprint != ORIGIN.fingerprint
    with pytest.raises(InputError, match=f"recorded with other {named}: delete it"):
        load_record(tmp_path / "r.npz", origin=now)


@given(part=st.floats(min_value=0.0, max_value=1.0, exclude_max=True))
def test_a_part_of_a_file_is_refused(tmp_path_factory: pytest.TempPathFactory, part: float) -> None:
    path = tmp_path_factory.mktemp("part") / "r.npz"
    save_record(record(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InputError, match="is not a record that can be read"):
        load_record(path, origin=ORIGIN)


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    save_record(record(), path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(InputError, match="is not a record that can be read"):
        load_record(path, origin=ORIGIN)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing: record the first stage first"):
        load_record(tmp_path / "none.npz", origin=ORIGIN)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="is not a record"):
        load_record(tmp_path / "other.npz", origin=ORIGIN)
    # Objects would be unpickled, and run what they like.
    held = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "objects.npz", about=held)
    with pytest.raises(InputError, match="is not a record"):
        load_record(tmp_path / "objects.npz", origin=ORIGIN)


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.npz"
    save_record(record(), path)
    before = path.read_bytes()

    def full(file: io.BufferedWriter, **arrays: object) -> None:
        file.write(b"PK")
        raise OSError(f"no space left for {len(arrays)} arrays")

    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(OSError, match="no space left"):
        save_record(replace(record(), depth=9), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_query_twice_is_refused() -> None:
    made = record()
    with pytest.raises(InputError, match="the same id"):
        replace(made, queries=(made.queries[0], made.queries[0]))


@pytest.mark.parametrize("hits", [[HITS[0], HITS[0]], [LegHit(doc_id="a", score=float("nan"))]])
def test_a_leg_that_is_none_is_refused(hits: list[LegHit]) -> None:
    with pytest.raises(InvalidRankingError, match="the bm25 leg has a"):
        recorded(Query(text="q"), {"bm25": hits}, names=("bm25",))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (replace(SETTING, legs=("sparse",)), "has bm25, dense and not sparse:64"),
        (replace(SETTING, depth=4), "the record is 3 deep and the plan asks for 4"),
    ],
)
def test_what_was_not_recorded_cannot_be_replayed(setting: Setting, said: str) -> None:
    made = record()
    with pytest.raises(InvalidPlanError, match=said):
        replayed_order(made, 0, setting)
    with pytest.raises(InvalidPlanError, match=said):
        Replays(made, qrels={"1": {"a": 1}, "2": {"a": 1}}).ndcg([setting])


def test_a_missing_score_is_named_unless_somebody_can_be_asked() -> None:
    made = record()
    qrels = {"1": {"a": 1.0}, "2": {"a": 1.0}}
    assert replayed_order(made, 0, SETTING) == ("a", "gone", "b\ud800é")
    said = "no score of last for 2 candidates of query '2': record again"
    with pytest.raises(InputError, match=said):
        replayed_order(made, 1, SETTING)
    with pytest.raises(InputError, match=said):
        Replays(made, qrels=qrels).ndcg([SETTING])
    ask = Asker(scorers={}, sources=SourcesInMemory({}), text_fields=("title",))
    with pytest.raises(InputError, match="no scores of last, and it is not open"):
        replayed_order(made, 1, SETTING, ask=ask)
    ask = replace(ask, scorers={"last": OverlapScorer()})
    assert Replays(made, qrels=qrels, ask=ask).ndcg([SETTING]).shape == (1, 2)
    # The text of "a" was read before; the scorer is asked, and the score is kept.
    assert made.queries[1].scores_of("last").tolist()[::2] == [0.0, 0.0]
    assert replayed_order(made, 1, SETTING)[0] == "gone"


def test_a_query_that_nothing_answers_is_refused() -> None:
    with pytest.raises(InputError, match="query '2' has no relevant document"):
        Replays(record(), qrels={"1": {"a": 1.0}, "2": {"a": 0.0}})
