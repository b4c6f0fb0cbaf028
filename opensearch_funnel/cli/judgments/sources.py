"""What the commands share: reading a source, telling its format and findings, ``--strict``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console

from opensearch_funnel.cli.output import print_lines
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.detecting import FORMATS, format_of_source

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.findings import Finding
    from opensearch_funnel.evaluating.formats.model import ReadJudgments

strict_option = click.option(
    "--strict", is_flag=True, help="Fail where something is wrong with the data."
)
split_option = click.option(
    "--split", default="test", show_default=True, help="Of a BEIR folder: qrels/<split>.tsv."
)
queries_option = click.option(
    "--queries",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Texts of TREC queries: id, tab, text  [default: queries.tsv beside the judgments]",
)
corpus_option = click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    default=None,
    help="The documents: judgments for others are told  [default: that of a BEIR folder]",
)


def format_option(flag: str, parameter: str, help_text: str) -> Callable[..., Any]:
    """Add an option that names a format."""
    return click.option(
        flag,
        parameter,
        type=click.Choice(FORMATS),
        default=None,
        help=f"{help_text} told if not given.",
    )


def told_format(name: str, given: str | None) -> str:
    """Return the format of a source; one that was guessed is told on standard error."""
    if given is not None:
        return given
    detected = format_of_source(name)
    say(f"{name}: read as {detected.format} ({detected.reason})")
    return detected.format


def read_source(name: str, *, format_name: str, split: str, queries: Path | None) -> ReadJudgments:
    """Read judgments."""
    from opensearch_funnel.evaluating.formats.reading import read_judgments

    return read_judgments(name, format=format_name, split=split, queries=queries)


def corpus_ids(corpus: Path | None, *, name: str, format_name: str) -> frozenset[str] | None:
    """Return the ids of a corpus: of the one that is named, or of a BEIR folder's own."""
    from opensearch_funnel.documents.readers import CORPUS_FILES, read_documents

    if corpus is None and format_name == "beir":
        own = (Path(name) / file for file in CORPUS_FILES)
        corpus = next((path for path in own if path.is_file()), None)
    if corpus is None:
        return None
    return frozenset(document.doc_id for document in read_documents(corpus))


def tell(findings: Iterable[Finding], *, strict: bool, of: str = "") -> None:
    """Print findings on standard error.

    Args:
        findings: what was found.
        strict: whether a fault is an error.
        of: the file that they are of, where there are several.

    Raises:
        InputError: there is a fault among them, and that is to be an error.
    """
    found = tuple(findings)
    for finding in found:
        word = "warning" if finding.is_fault else "note"
        say(f"{word}: {of}: {finding}" if of else f"{word}: {finding}")
    faults = sum(finding.is_fault for finding in found)
    if strict and faults:
        raise InputError(f"{faults} kinds of faults in the data, told above (--strict)")


def tell_faults(findings: Iterable[Finding]) -> None:
    """Print what may be wrong with a data set on standard error; notes are in the JSON alone."""
    tell((finding for finding in findings if finding.is_fault), strict=False)


def findings_json(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """Return findings for printing."""
    return [
        {
            "kind": finding.kind.name.lower(),
            "told": str(finding.kind),
            "fault": finding.is_fault,
            "count": finding.count,
            "examples": finding.examples,
        }
        for finding in findings
    ]


def say(line: str) -> None:
    """Print one line on standard error."""
    print_lines(Console(stderr=True), [line])
