"""A migration whose workers are killed again and again: nothing lost, nothing doubled.

20,000 films, splade-tiny at 64 tokens, 30 SIGKILLs at seeded points: every third one when a bulk
request has been acknowledged and the journal does not know of it yet, the others at any request of
a worker, before it is sent or when it has been answered. Each next worker is a process of its own
that takes over. In the end every document is compared with its copy, byte for byte.

Goal: 0 lost, 0 doubled, every ``_source`` equal. Reported: documents done again for each kill,
and seconds until the next worker has written something.

``python -m benchmarks.migrate_kills --url http://127.0.0.1:9250``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.migrate_setting import Encoders, Setting, planned, proven
from benchmarks.migrate_worker import BULK, EVERY, Kill, arguments_of
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.client import connect
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import load_migration
from opensearch_funnel.settings import Settings, load_settings

_ROOT = Path(__file__).resolve().parents[1]
_LIFE_S = 1800.0
_REQUESTS_TO_START, _REQUESTS_OF_A_PAGE = 14, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one worker did.

    Attributes:
        killed_at: method and path of the request that it ended at; empty if it was not killed.
        answered: whether that one had been answered.
        encoded: documents that it encoded.
        written_down: documents that the journal knew of at its end, and not before.
        resume_s: seconds from its start as a process to its first page in the target; ``None``
            where it never got there.
        work_s: the same from when its model was open.
    """

    killed_at: str
    answered: bool
    encoded: int
    written_down: int
    resume_s: float | None
    work_s: float | None

    @property
    def redone(self) -> int:
        """Documents that the next worker has to do again."""
        return max(0, self.encoded - self.written_down)


def run(  # noqa: PLR0913 - the size of the run, and what it runs on
    url: str,
    *,
    documents: int = 20_000,
    kills: int = 30,
    page: int = 200,
    encoders: Encoders = "splade-tiny",
    datasets: Path | None = None,
    seed: int = 7,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Kill workers of a migration.

    Args:
        url: a node; what is made on it is deleted at the end.
        documents: how many are migrated.
        kills: how many workers are killed.
        page: most documents of a page.
        encoders: what fills the slot.
        datasets: the folder with ``msrd_movies``; without it, documents are made up.
        seed: of the points.
        progress: hears of every kill.

    Returns:
        The proof, and what the kills cost.
    """
    client = connect(Settings(url=url))
    begun = time.monotonic()
    with (
        planned(
            client,
            documents=documents,
            datasets=datasets,
            encoders=encoders,
            seed=seed,
            progress=progress,
        ) as setting,
        TemporaryDirectory() as folder,
    ):
        lives: list[Life] = []
        schedule = points(documents, kills=kills, page=page, seed=seed)
        with progress.task("killing workers", total=kills, unit="kills") as advance:
            for number, kill in enumerate([*schedule, None]):
                lives.append(
                    _life(
                        setting,
                        url=url,
                        encoders=encoders,
                        page=page,
                        kill=kill,
                        log=Path(folder) / f"{number}.jsonl",
                    )
                )
                advance(1)
                if not lives[-1].killed_at:
                    break
        migration = load_migration(client, setting.alias)
        proof = proven(client, migration)
        kept = sum(one.kept for one in Journal(client, target=migration.target).slices())
    return {**report(lives, kept=kept), **asdict(proof), "right": proof.right} | {
        "page": page,
        "encoders": encoders,
        "seed": seed,
        "seconds": round(time.monotonic() - begun, 1),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def points(documents: int, *, kills: int, page: int, seed: int) -> list[Kill]:
    """Draw where workers end, such that the work lasts for all of them.

    Example:
        >>> [kill.where for kill in points(2000, kills=3, page=50, seed=1)]
        ['.', '.', '/_bulk$']
    """
    rng = random.Random(seed)  # noqa: S311 - a schedule
    pages = max(1, documents // page // (kills + 1))
    found: list[Kill] = []
    for number in range(1, kills + 1):
        if number % 3 == 0:
            found.append(Kill(where=BULK, number=rng.randint(1, pages), answered=True))
        else:
            at = rng.randint(1, _REQUESTS_TO_START + 2 * _REQUESTS_OF_A_PAGE * pages)
            found.append(Kill(where=EVERY, number=at, answered=bool(rng.getrandbits(1))))
    return found


def _life(  # noqa: PLR0913 - of one worker
    setting: Setting, *, url: str, encoders: Encoders, page: int, kill: Kill | None, log: Path
) -> Life:
    before = _written_down(setting)
    started = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.migrate_worker", "--url", url]
    command += ["--alias", setting.alias, "--encoders", encoders, "--page", str(page)]
    command += ["--letters", str(log.parent), "--log", str(log), *arguments_of(kill)]
    done = subprocess.run(  # noqa: S603 - this package
        command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=_LIFE_S
    )
    if done.returncode not in {0, -signal.SIGKILL}:
        raise RuntimeError(f"a worker failed: {done.stderr[-2000:]}")
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    at = {line["what"]: line["at"] for line in reversed(lines)}
    ended = next((line for line in lines if line["what"] == "killed"), None)
    first = at.get("written")
    return Life(
        killed_at=f"{ended['method']} {_kind(ended['path'])}" if ended else "",
        answered=bool(ended and ended["answered"]),
        encoded=sum(line["documents"] for line in lines if line["what"] == "encoded"),
        written_down=_written_down(setting) - before,
        resume_s=None if first is None else first - started,
        work_s=None if first is None else first - at["started"],
    )


def _written_down(setting: Setting) -> int:
    migration = load_migration(setting.client, setting.alias)
    slices = Journal(setting.client, target=migration.target).slices()
    return sum(one.written for one in slices)


def _kind(path: str) -> str:
    """Return what a request is about, without names of its own."""
    if "/_doc/slice" in path:
        return "journal"
    if "/_doc/migration" in path:
        return "migration"
    return path.rsplit("/", 1)[-1] if "/_" in path else "index"


def report(lives: list[Life], *, kept: int) -> dict[str, Any]:
    """Sum up what the kills cost."""
    killed = [life for life in lives if life.killed_at]
    resumed = [life.resume_s for life in lives[1:] if life.resume_s is not None]
    worked = [life.work_s for life in lives[1:] if life.work_s is not None]
    redone = [life.redone for life in killed]
    places = Counter(
        f"{life.killed_at} {'answered' if life.answered else 'not sent'}" for life in killed
    )
    return {
        "kills": len(killed),
        "kills_between_write_and_journal": sum(
            count for place, count in places.items() if place.endswith("_bulk answered")
        ),
        "redone_per_kill": {
            "mean": round(statistics.fmean(redone), 1) if redone else 0.0,
            "median": statistics.median(redone) if redone else 0,
            "most": max(redone, default=0),
        },
        "redone_but_not_encoded_again": kept,
        "resume_s": _spread(resumed),
        "resume_without_start_s": _spread(worked),
        "places": dict(places.most_common()),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {"median": round(statistics.median(seconds), 2), "most": round(max(seconds), 2)}


def main() -> int:
    """Run from the shell: prints one JSON object; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=Settings().url, help="a node")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--page", type=int, default=200)
    parser.add_argument("--encoders", choices=["splade-tiny", "words"], default="splade-tiny")
    parser.add_argument("--seed", type=int, default=7)
    told = parser.parse_args()
    found = run(
        told.url,
        documents=told.documents,
        kills=told.kills,
        page=told.page,
        encoders=told.encoders,
        datasets=load_settings().datasets,
        seed=told.seed,
    )
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0 if found["right"] and found["kills"] == told.kills else 1


if __name__ == "__main__":
    sys.exit(main())
