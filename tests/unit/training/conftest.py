"""A small corpus with judgments, as the training scripts read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

MakeCorpus = Callable[..., Path]


def write_corpus(folder: Path, *, splits: Mapping[str, Iterable[int]]) -> Path:
    """Write forty films and the query ``fox N`` for each of them.

    Film ``N`` answers, made even, and the one behind it was rejected. Even films sing and odd ones
    eat, so that there is something to learn for a model that can hardly read.
    """
    folder.mkdir(parents=True)
    does = ("sings about home", "eats the hen now")
    films = [
        {
            "_id": f"d{n}",
            "title": f"Film {n}",
            "text": f"Hero {does[n % 2]}. The fox {n} goes home.",
        }
        for n in range(40)
    ]
    queries = [{"_id": f"q{n}", "text": f"fox {n}"} for n in range(40)]
    files = {"corpus": films, "queries": queries} if splits else {"corpus": films}
    for kind, lines in files.items():
        text = "\n".join(json.dumps(line) for line in lines)
        (folder / f"{kind}.jsonl").write_text(text, encoding="utf-8")
    for split, numbers in splits.items():
        (folder / "qrels").mkdir(exist_ok=True)
        even = [(n, n - n % 2) for n in numbers]
        labels = "".join(f"q{n}\td{film}\t1\nq{n}\td{film + 1}\t0\n" for n, film in even)
        path = folder / "qrels" / f"{split}.tsv"
        path.write_text(f"query-id\tcorpus-id\tscore\n{labels}", encoding="utf-8")
    return folder


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """Write such a corpus; without splits it has documents alone."""

    def make(name: str = "films", **splits: Iterable[int]) -> Path:
        return write_corpus(tmp_path / name, splits=splits)

    return make
