"""Queries made of a collection's own documents, and what each leg finds for them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.fusion_study.collections_of_study import Part
from benchmarks.fusion_study.found import Asked, load_asked, save_asked
from benchmarks.fusion_study.recording import Searched
from benchmarks.fusion_study.weighing import WordMasses
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.documents.document import Document
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.splade import SpladeEncoder
from opensearch_funnel.engine.queries import sparse_query
from opensearch_funnel.evaluating.trust.probes import without_lead

ProbeKind = Literal["title", "lead", "sentence", "words"]
KINDS: tuple[ProbeKind, ...] = ("title", "lead", "sentence", "words")
PROBES = 150
LEAST = 30
"""Fewer probes of a kind tell nothing."""

_SEED = 5
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_WORDS = re.compile(r"\w+")
_SENTENCE_WORDS = range(4, 31)
_TITLE_WORDS, _REST_WORDS, _OWN_WORDS, _WORD_LETTERS = 2, 8, 4, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A query made of a document, and the document without it."""

    doc_id: str
    text: str
    rest: Mapping[str, str]


def probes_of(documents: Sequence[Document], *, kind: ProbeKind) -> list[Probe]:
    """Make queries of documents drawn at random; none of what has no fitting words.

    Args:
        documents: of the collection.
        kind: ``title``: the title asks, the text answers. ``lead``: the first sentence asks, what
            follows answers. ``sentence``: one sentence of the text asks, the rest answers.
            ``words``: four longer words of it ask; nothing is taken away.

    Example:
        >>> told = "They rob one bank after another, until a detective finds them."
        >>> one = Document("a", {"title": "Armed robbery", "text": told})
        >>> probes_of([one], kind="title")[0].text
        'Armed robbery'
    """
    drawn = random.Random(f"{_SEED} {kind}")  # noqa: S311 - not for secrets
    made: list[Probe] = []
    for document in drawn.sample(list(documents), k=len(documents)):
        if len(made) == PROBES:
            break
        if kind == "lead":
            if cut := without_lead(document.source, fields=("title", "text")):
                made.append(Probe(doc_id=document.doc_id, text=cut.query, rest=cut.fields))
            continue
        title, text = (str(document.source.get(f) or "").strip() for f in ("title", "text"))
        asked = _ASKED[kind](drawn, title, text)
        if asked:
            rest = {"title": "" if kind == "title" else title, "text": text.replace(asked, " ")}
            rest = {name: value.strip() for name, value in rest.items() if value.strip()}
            if kind == "words" or len(" ".join(rest.values()).split()) >= _REST_WORDS:
                made.append(Probe(doc_id=document.doc_id, text=asked, rest=rest))
    return made


def _title(_: random.Random, title: str, text: str) -> str:
    del text
    return title if len(title.split()) >= _TITLE_WORDS else ""


def _sentence(drawn: random.Random, title: str, text: str) -> str:
    del title
    fitting = [one for one in _SENTENCES.split(text) if len(one.split()) in _SENTENCE_WORDS]
    return drawn.choice(fitting) if fitting else ""


def _own_words(drawn: random.Random, title: str, text: str) -> str:
    words = dict.fromkeys(_WORDS.findall(f"{title} {text}".lower()))
    longer = [word for word in words if len(word) >= _WORD_LETTERS]
    return " ".join(drawn.sample(longer, k=_OWN_WORDS)) if len(longer) >= 2 * _OWN_WORDS else ""


_ASKED: Mapping[str, Callable[[random.Random, str, str], str]] = {
    "title": _title,
    "sentence": _sentence,
    "words": _own_words,
}


def probed(
    part: Part, *, kind: ProbeKind, folder: Path, opened: Callable[[Part], Searched]
) -> list[Asked]:
    """Return what was found for the probes of a collection, with what the rest would have got.

    Args:
        part: any of the collection.
        kind: of probes.
        folder: where files are kept.
        opened: gives the index where something has to be searched.
    """
    path = folder / f"{part.collection}-probes-{kind}.json.gz"
    if path.is_file():
        return load_asked(path)
    made = probes_of(list(part.dataset.documents()), kind=kind)
    asked: list[Asked] = []
    if len(made) >= LEAST:
        searched = opened(part)
        cuts = [{}] * len(made) if kind == "words" else _cuts(searched, made)
        masses = WordMasses(client=searched.bench.client, plan=searched.plan)
        asked = [
            Asked(
                query_id=f"{kind}-{number}",
                text=probe.text,
                grades={probe.doc_id: 1},
                columns=searched.columns(probe.text),
                cut=cut,
                mass=mass,
            )
            for number, (probe, cut, mass) in enumerate(
                zip(made, cuts, masses.of([probe.text for probe in made]), strict=True)
            )
        ]
    save_asked(path, asked)
    return asked


def _cuts(searched: Searched, probes: Sequence[Probe]) -> list[dict[str, float]]:
    """Return what each leg would give the rest of each probe's document."""
    plan, models = searched.plan, searched.models
    # Those that fill an index encode documents, too.
    assert isinstance(models.dense, DenseEncoder)  # noqa: S101
    assert isinstance(models.sparse, SpladeEncoder)  # noqa: S101
    texts = [probe.text for probe in probes]
    rests = [encoded_text(probe.rest, fields=plan.text_fields) for probe in probes]
    bm25 = WordMasses(client=searched.bench.client, plan=plan).scores(
        texts, [probe.rest for probe in probes]
    )
    dense = np.asarray(models.dense.encode_documents(rests))
    asked = np.stack([np.asarray(models.dense.encode_query(text)) for text in texts])
    # As the engine turns an inner product of unit vectors into a score.
    near = 1.0 + (dense * asked).sum(axis=1)
    cuts = []
    for place, weights in enumerate(models.sparse.encode_documents(rests)):
        query = sparse_query(
            plan.sparse_field,
            models.sparse.encode_query(texts[place]),
            limit=plan.sparse.query_terms,
        )
        tokens = query.get("neural_sparse", {}).get(plan.sparse_field, {}).get("query_tokens", {})
        cuts.append(
            {
                "bm25": float(bm25[place]),
                "sparse": sum(share * weights.get(token, 0.0) for token, share in tokens.items()),
                "dense": float(near[place]),
            }
        )
    return cuts
