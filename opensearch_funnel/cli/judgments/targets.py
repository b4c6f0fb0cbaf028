"""Where judgements go: a journal, and the file of judgments that it is turned into."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from opensearch_funnel.cli.judgments.sources import say
from opensearch_funnel.core.errors import InputError

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.detecting import Format
    from opensearch_funnel.evaluating.formats.findings import Finding
    from opensearch_funnel.evaluating.formats.model import Judgments
    from opensearch_funnel.evaluating.labelling.journal import Decision, Journal
    from opensearch_funnel.evaluating.labelling.pool import Pair


class Target:
    """The file of judgments that a journal is turned into, as often as wanted.

    Args:
        path: where it is.
        to_format: what it is; told from the name if not given.
        split: of a BEIR folder.
        like: the queries.
    """

    def __init__(
        self, path: Path, *, to_format: Format | None, split: str, like: Judgments
    ) -> None:
        from opensearch_funnel.evaluating.formats.detecting import format_of_target
        from opensearch_funnel.evaluating.labelling.journal import journal_of

        self.path = path
        self.journal = journal_of(path)
        self._format = to_format or format_of_target(path).format
        self._split = split
        self._like = like

    def check(self, pairs: tuple[Pair, ...], *, by: str, force: bool) -> None:
        """See before anybody judges that the judgments can be written.

        Raises:
            InputError: the format cannot hold a query, an id or the judgments, or a file is
                there that no journal belongs to.
        """
        from opensearch_funnel.evaluating.labelling.journal import Decision

        tried = {
            pair.key: Decision(
                query_id=pair.query_id, query=pair.query, doc_id=pair.doc_id, grade=0, by=by, at=""
            )
            for pair in pairs
        }
        files, lost = self._files(tried, by=by)
        refuse_loss(self.path, lost)
        there = [str(path) for path in files if path.exists()]
        if there and not force and not self.journal.exists():
            raise InputError(
                f"{', '.join(there)} is there already, and no {self.journal.name} to go on with: "
                "name another, or give --force"
            )

    def write(self, journal: Journal) -> tuple[list[str], tuple[Finding, ...]]:
        """Write all that the journal has; nothing where it has no grade.

        Returns:
            The files, and what they do not hold of it.
        """
        from opensearch_funnel.evaluating.formats.writing import save

        if all(decision.grade is None for decision in journal.decisions.values()):
            return [], ()
        files, findings = self._files(journal.decisions, by=journal.by)
        save(files, replacing=True)
        return [str(path) for path in files], findings

    def _files(
        self, decisions: Mapping[tuple[str, str], Decision], *, by: str
    ) -> tuple[Mapping[Path, str], tuple[Finding, ...]]:
        from opensearch_funnel.evaluating.formats.writing import judgments_files
        from opensearch_funnel.evaluating.labelling.journal import PERSON, as_judgments

        judgments = as_judgments(
            decisions,
            like=self._like,
            description=f"Judged by a {by}",
            mark={} if by == PERSON else {"judged_by": by},
        )
        written = judgments_files(judgments, self.path, format=self._format, split=self._split)
        return written.files, written.findings


def refuse_loss(target: Path, findings: tuple[Finding, ...]) -> None:
    """Refuse a target that would lose judgments.

    Raises:
        InputError: it holds none, or takes queries of one text for one.
    """
    for finding in findings:
        if finding.kind.name == "JUDGMENTS_LOST":
            raise InputError(
                f"{target} would be a query set, which holds no judgments: name a file that ends "
                "with .csv, .json or .qrels, or a folder"
            )
        if finding.kind.name == "SAME_TEXT":
            raise InputError(
                f"{target} knows queries by their text, and there are {finding}: name a file that "
                "ends with .qrels, or a folder"
            )


def counts_told(counts: Mapping[str, int]) -> str:
    """Say how often each grade was given.

    Example:
        >>> counts_told({"0": 7, "3": 1, "skipped": 2})
        '7 with grade 0, 1 with grade 3, 2 skipped'
    """
    return ", ".join(
        f"{count:,} with grade {name}" if name.isdigit() else f"{count:,} {name}"
        for name, count in counts.items()
    )


def files_told(journal: Path, files: list[str]) -> str:
    """Say where judgements are.

    Example:
        >>> files_told(Path("a.csv.journal.ndjson"), ["a.csv"])
        'kept in a.csv.journal.ndjson, written to a.csv'
    """
    written = f", written to {', '.join(files)}" if files else ""
    return f"kept in {journal}{written}"


def tell_once(findings: tuple[Finding, ...]) -> None:
    """Print what a target does not hold, as notes: the journal holds all of it."""
    for finding in findings:
        say(f"note: {finding}")
