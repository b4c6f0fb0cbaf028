"""Queries and judgments of the data sets that the ``ir_datasets`` package knows by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from opensearch_funnel.core.errors import InputError, MissingExtraError
from opensearch_funnel.evaluating.formats.findings import Findings
from opensearch_funnel.evaluating.formats.model import Collected, ReadJudgments

_PARTS = ("text", "title", "query")
PREFIX = "irds:"
"""Marks a name, as in ``irds:beir/scifact/test``."""


def read_named(name: str) -> ReadJudgments:
    """Read a data set, which the package downloads on its first use.

    Args:
        name: as https://ir-datasets.com lists it, with or without ``irds:``.

    Raises:
        MissingExtraError: the package is not installed.
        InputError: there is no such set, it has no queries or no judgments, or its files cannot
            be had (offline, or behind an agreement).
    """
    name = name.removeprefix(PREFIX)
    try:
        ir_datasets: Any = import_module("ir_datasets")
    except ImportError as error:
        raise MissingExtraError("ir_datasets", extra="ir-datasets") from error
    collected = Collected(Findings())
    try:
        dataset = ir_datasets.load(name)
        for query in dataset.queries_iter():
            collected.query(query.query_id, _text(query))
        for qrel in dataset.qrels_iter():
            if qrel.query_id not in collected:
                collected.query(qrel.query_id, None)
            collected.judge(qrel.query_id, qrel.doc_id, str(qrel.relevance))
    except KeyError as error:
        raise InputError(f"ir_datasets has no set {name!r}: https://ir-datasets.com") from error
    except AttributeError as error:
        raise InputError(
            f"the set {name!r} has no queries or no judgments: name one of its splits, such as "
            f"{name}/test"
        ) from error
    except (OSError, RuntimeError) as error:
        cause = " ".join(str(error).split())
        raise InputError(
            f"the files of {name!r} cannot be had ({cause:.200}): ir_datasets needs the network "
            "on first use"
        ) from error
    return collected.read()


def _text(query: Any) -> str:
    # A topic with several parts has a title; older versions of the package lack default_text.
    if hasattr(query, "default_text"):
        return str(query.default_text())
    return str(next(filter(None, (getattr(query, name, None) for name in _PARTS)), query[1]))
