"""``scripts/study-fusion``: run the study and write its figures, tables and drawings."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.fusion_study.plots import draw
from benchmarks.fusion_study.study import Study
from benchmarks.fusion_study.tables import constants_table, tables
from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.settings import Settings

_SHARES = "shares"


def as_lines(figures: Mapping[str, Any]) -> str:
    """Return figures as JSON, one line for each part of a part.

    Example:
        >>> print(as_lines({"a": [1, 2], "b": {"c": {"d": 3}}}), end="")
        {
        "a": [
        1,
        2
        ],
        "b": {
        "c": {"d": 3}
        }
        }
    """
    parts = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            inside = [f"{json.dumps(key)}: {json.dumps(own)}" for key, own in value.items()]
            opened, closed = "{", "}"
        else:
            inside, opened, closed = [json.dumps(own) for own in value], "[", "]"
        lines = ",\n".join(inside)
        parts.append(f"{json.dumps(name)}: {opened}\n{lines}\n{closed}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    """Run from the shell; exit status 1 where something is missing."""
    parser = argparse.ArgumentParser(prog="study-fusion", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="constants and main tables alone")
    parser.add_argument(
        "--output", type=Path, default=Path("docs/fusion"), help="folder to write to [docs/fusion]"
    )
    parser.add_argument(
        "--kept", type=Path, help="folder for what was found [fusion-study in FUNNEL_HOME]"
    )
    parser.add_argument("--datasets", type=Path, help="scifact, msrd_movies, cranfield")
    given = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(levelname)s %(message)s")
    logging.getLogger("opensearch").setLevel(logging.ERROR)
    settings = Settings()
    try:
        with terminal_progress() as progress:
            study = Study(
                bench=Bench(client=connect(settings), settings=settings, progress=progress),
                folder=given.kept or settings.home / "fusion-study",
                datasets=given.datasets or settings.datasets,
            )
            found = study.run(quick=given.quick)
    except FunnelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    given.output.mkdir(parents=True, exist_ok=True)
    if not given.quick:
        draw(found, given.output)
    kept = {name: value for name, value in found.items() if name != _SHARES}
    (given.output / "study.json").write_text(as_lines(kept), encoding="utf-8")
    (given.output / "tables.md").write_text(tables(found), encoding="utf-8")
    sys.stdout.write(constants_table(found["constants"]) + "\n")
    for name in found["left_out"]:
        sys.stdout.write(f"left out: {name}, which cannot be had on this machine\n")
    missed = [row for row in found["rows"] if row["short"]]
    sys.stdout.write(
        f"{len(missed)} of {len(found['rows'])} cases miss their goal; "
        f"tables: {given.output / 'tables.md'}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
