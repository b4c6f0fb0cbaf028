"""A cutover or a rollback in a process of its own, with stand-in encoders, to be ended anywhere.

python -m tests.engine.switch_worker cutover|rollback ALIAS URL LETTERS
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import orjson

from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.migrating.cutover import cutover
from opensearch_funnel.migrating.migration import load_migration
from opensearch_funnel.migrating.rollback import rollback
from opensearch_funnel.migrating.switch_reports import CutoverReport, RollbackReport
from opensearch_funnel.settings import Settings
from tests.engine.migrations import stand_in
from tests.engine.switching import LONG_S

_INTERRUPTED = 130


def main() -> int:
    """Do what the command line says."""
    step, alias, url, letters = sys.argv[1:]
    settings = Settings(url=url)
    client = connect(settings)
    migration = load_migration(client, alias)
    report: CutoverReport | RollbackReport
    try:
        if step == "cutover":
            report = cutover(
                client,
                migration,
                settings=settings,
                encoder=stand_in(),
                letters=Path(letters),
                max_block_s=LONG_S,
            )
        else:
            report = rollback(client, migration, settings=settings, max_block_s=LONG_S)
    except FunnelError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    sys.stdout.write(orjson.dumps(asdict(report)).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
