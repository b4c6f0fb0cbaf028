"""Packages of Debian, where the machine knows them: synopsis asks, description answers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from benchmarks.fusion_study.kept_sets import Pair

_LISTS = Path("/var/lib/apt/lists")
_HELPER = Path("/usr/lib/apt/apt-helper")
_NAME = re.compile(r"^Package: (.*)$", re.MULTILINE)
_DESCRIPTION = re.compile(r"^Description-en: (.*)\n((?: .*(?:\n|$))*)", re.MULTILINE)
_LEAST_WORDS = 25
_ALIKE = 150


def descriptions(lists: Path = _LISTS) -> list[Pair]:
    """Return packages as documents, each with its synopsis as a query.

    Packages of one source often share a description: of those one is kept.

    Args:
        lists: the folder where apt keeps what it was told.

    Returns:
        In the order of names; none where the machine has no translated descriptions.
    """
    found: dict[str, Pair] = {}
    seen: set[str] = set()
    for file in sorted(lists.glob("*_main_i18n_Translation-en*")):
        for paragraph in _text(file).split("\n\n"):
            name, described = _NAME.search(paragraph), _DESCRIPTION.search(paragraph)
            if name is None or described is None:
                continue
            synopsis = described[1].strip()
            text = " ".join(described[2].replace("\n .\n", "\n").split())
            keys = {text[:_ALIKE].lower(), synopsis.lower()}
            if len(text.split()) > _LEAST_WORDS and seen.isdisjoint(keys):
                seen |= keys
                found[name[1]] = Pair(doc_id=name[1], query=synopsis, title=name[1], text=text)
    return [found[name] for name in sorted(found)]


def _text(file: Path) -> str:
    if file.suffix == "":
        return file.read_text(encoding="utf-8")
    if not _HELPER.exists():
        return ""
    done = subprocess.run(  # noqa: S603 - apt's own program on apt's own file
        [str(_HELPER), "cat-file", str(file)], capture_output=True, check=True
    )
    return done.stdout.decode("utf-8")
