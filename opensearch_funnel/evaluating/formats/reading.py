"""Any format into the model."""

from __future__ import annotations

from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.beir import read_beir
from opensearch_funnel.evaluating.formats.detecting import FORMATS
from opensearch_funnel.evaluating.formats.ir_datasets_names import read_named
from opensearch_funnel.evaluating.formats.model import ReadJudgments
from opensearch_funnel.evaluating.formats.quepid import read_quepid
from opensearch_funnel.evaluating.formats.trec import read_trec
from opensearch_funnel.evaluating.formats.workbench import read_workbench
from opensearch_funnel.evaluating.formats.workbench_queries import read_workbench_queries


def read_judgments(
    name: str,
    *,
    format: str,  # noqa: A002 - the option's name
    split: str = "test",
    queries: Path | None = None,
) -> ReadJudgments:
    """Read judgments, or a set of queries that has none.

    Args:
        name: a path, or a name that ``ir_datasets`` knows.
        format: one of ``FORMATS`` but ``trec-run``, which has no judgments.
        split: of a BEIR folder.
        queries: the texts of TREC queries.

    Raises:
        InputError: the file is missing or broken, by file and line.
        MissingExtraError: the format needs a package that is not installed.
    """
    path = Path(name)
    match format:
        case "beir":
            return read_beir(path, split=split)
        case "trec":
            return read_trec(path, queries=queries)
        case "quepid":
            return read_quepid(path)
        case "workbench":
            return read_workbench(path)
        case "workbench-queries":
            return read_workbench_queries(path)
        case "ir-datasets":
            return read_named(name)
        case "trec-run":
            raise InputError(f"{name} is a run, which has rankings and no judgments")
        case unknown:
            raise InputError(f"unknown format {unknown!r}; there are: {', '.join(FORMATS)}")
