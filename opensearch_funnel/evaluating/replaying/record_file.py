"""A record in one file: NumPy's own format, written whole or not at all."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.replaying.record import Origin, Record, RecordedQuery

_FORMAT = 1
_BROKEN = (OSError, ValueError, KeyError, TypeError, IndexError, EOFError)
_UNREADABLE = (*_BROKEN, zipfile.BadZipFile, zlib.error)


def save_record(record: Record, path: Path) -> None:
    """Write a record; a reader sees the old file or the new one, never a part.

    Args:
        record: what to keep.
        path: of the file; its folder is made.
    """
    ids = sorted({doc_id for recorded in record.queries for doc_id in recorded.doc_ids})
    place = {doc_id: number for number, doc_id in enumerate(ids)}
    models = sorted({model for recorded in record.queries for model in recorded.scores})
    about = {
        "format": _FORMAT,
        "origin": {
            "index": record.origin.index,
            "plan": record.origin.plan,
            "rerankers": dict(record.origin.rerankers),
            "queries": record.origin.queries,
        },
        "legs": record.legs,
        "depth": record.depth,
        "version": record.version,
        "models": models,
        "queries": [[r.query.query_id, r.query.text] for r in record.queries],
        "doc_ids": ids,
        "texts": record.texts,
    }
    each = record.queries
    arrays: dict[str, Any] = {
        "about": np.frombuffer(json.dumps(about).encode("ascii"), dtype=np.uint8),
        "counts": np.array([len(r.doc_ids) for r in each], dtype=np.int64),
        "docs": np.array([place[d] for r in each for d in r.doc_ids], dtype=np.int64),
        "shards": np.concatenate([np.empty(0, np.int64), *(r.shards for r in each)]),
        "numbers": np.concatenate([np.empty(0, np.int64), *(r.numbers for r in each)]),
        "raw": np.concatenate([np.empty((0, len(record.legs))), *(r.raw for r in each)]),
        "scores": np.concatenate(
            [np.empty((0, len(models))), *(_scores(r, models=models) for r in each)]
        ),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{uuid4().hex[:8]}.new")
    try:
        with fresh.open("wb") as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _scores(recorded: RecordedQuery, *, models: list[str]) -> Any:
    columns = [
        recorded.scores.get(model, np.full(len(recorded.doc_ids), np.nan)) for model in models
    ]
    return np.array(columns).reshape(len(models), len(recorded.doc_ids)).T


def load_record(path: Path, *, origin: Origin) -> Record:
    """Read a record that was made of what is there now.

    Args:
        path: of the file.
        origin: what index, plan, rerankers and queries are now.

    Raises:
        InputError: there is no such file, it is not whole, or it was made of something else.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: record the first stage first")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            record = _read({name: arrays[name] for name in arrays.files})
    except _UNREADABLE as error:
        raise InputError(f"{path} is not a record that can be read ({error}): delete it") from error
    if differs := record.origin.differs_in(origin):
        raise InputError(
            f"{path} was recorded with other {' and '.join(differs)}: delete it and record again"
        )
    return record


def _read(arrays: dict[str, Any]) -> Record:
    about = json.loads(arrays["about"].tobytes())
    if about["format"] != _FORMAT:
        raise ValueError(f"its format is {about['format']}, and this reads {_FORMAT}")
    ids, legs, models = about["doc_ids"], tuple(about["legs"]), about["models"]
    ends = [0, *np.cumsum(arrays["counts"]).tolist()]
    rows = {name: arrays[name] for name in ("docs", "shards", "numbers", "raw", "scores")}
    shapes = {name: len(array) for name, array in rows.items()}
    if set(shapes.values()) != {ends[-1]} or rows["raw"].shape[1] != len(legs):
        raise ValueError(f"its parts do not fit together: {shapes}")
    if len(about["queries"]) != len(ends) - 1:
        raise ValueError("its queries do not fit to its counts")
    queries = tuple(
        RecordedQuery(
            query=Query(text=text, query_id=query_id),
            doc_ids=tuple(ids[place] for place in rows["docs"][start:end].tolist()),
            shards=rows["shards"][start:end],
            numbers=rows["numbers"][start:end],
            raw=rows["raw"][start:end],
            scores={m: rows["scores"][start:end, c].copy() for c, m in enumerate(models)},
        )
        for (query_id, text), (start, end) in zip(about["queries"], pairwise(ends), strict=True)
    )
    major, minor = about["version"]
    return Record(
        origin=Origin(**about["origin"]),
        legs=legs,
        depth=about["depth"],
        version=(major, minor),
        queries=queries,
        texts=about["texts"],
    )
