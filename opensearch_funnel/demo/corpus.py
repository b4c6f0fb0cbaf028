"""The demo's corpus, its questions and their graded answers.

The corpus is what every machine with Python has: the documentation of its own standard library.
Python releases differ by a few hundred names, so the documents are read from the interpreter that
runs; the questions ask only for names that Python 3.11, 3.12 and 3.13 all have.

The ``test`` questions were written before anything was searched, and the answers graded 0-2 on the
pooled best hits of every system without seeing which system had found them. No model is trained
and no setting is tuned on them.

The ``dev`` questions decide whether the plan reranks, and are never reported. Documents were drawn
by chance, past those that answer a ``test`` question; for those that a person would ask for, a
question was written in everyday words without the name, or what one remembers of the name. Nothing
was searched for that. Their answers were graded as those of ``test``, on the pooled best hits of
the legs, of the fusion and of three rerankers, without seeing which of them had found what.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from opensearch_funnel.core.errors import InputError

MINIMUM_WORDS = 8
"""Shorter texts are left out; a higher bound would lose ``queue.Empty`` or ``random.choice``."""

Split = Literal["test", "dev"]
"""What is reported, and what decides about reranking."""

_HERE = Path(__file__).resolve().parent
_QUESTIONS: dict[Split, str] = {"test": "questions.jsonl", "dev": "dev_questions.jsonl"}
_EXTRACTION_SECONDS = 120
_QRELS_HEADER = ["query-id", "corpus-id", "score"]


@dataclass(frozen=True, slots=True)
class BeirCounts:
    """How many lines of each kind a BEIR folder was given."""

    documents: int
    queries: int
    judgments: int


def stdlib_documents() -> list[dict[str, str]]:
    """Read the documentation of the standard library that is running.

    The reading is done by a fresh interpreter without site packages, so that no import prints,
    warns or changes anything here. It takes about a second.

    Returns:
        Documents ordered by ``_id``, the name by which a programmer reaches the object
        (``itertools.groupby``, ``str.split``). ``title`` is that name and the signature; ``text``
        is the docstring followed by the head of what contains the object; ``kind`` is one of
        ``module``, ``class``, ``exception``, ``function``, ``method``, ``property`` and ``form``
        (a construct of ``typing``); ``module`` is where it is imported from. Two runs of one
        Python give the same list.

    Raises:
        InputError: Python does not know its own executable, or the reading failed.

    Example:
        >>> documents = {document["_id"]: document for document in stdlib_documents()}
        >>> documents["itertools.chain"]["kind"]
        'class'
    """
    lines = _extract().splitlines()
    documents: list[dict[str, str]] = [json.loads(line) for line in lines]
    return [one for one in documents if len(one["text"].split()) >= MINIMUM_WORDS]


def _extract() -> str:
    if not sys.executable:
        raise InputError("the demo reads Python's own documentation, but sys.executable is unset")
    # -I -S: neither the user's environment nor installed packages take part; -B: nothing written.
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-W", "ignore"]
    without_screen = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "TERM")}
    try:
        with tempfile.TemporaryDirectory(prefix="funnel-demo-") as folder:
            done = subprocess.run(  # noqa: S603 - our own interpreter and our own file
                [*command, str(_HERE / "extraction.py")],
                cwd=folder,
                env=without_screen,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_EXTRACTION_SECONDS,
                check=True,
            )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip() or f"exit status {error.returncode}"
        reason = said.splitlines()[-1]
        raise InputError(f"the standard library's documentation was not read: {reason}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"the standard library's documentation was not read: {error}") from error
    return done.stdout.decode("utf-8")


def questions(*, split: Split = "test") -> list[dict[str, str]]:
    """Read the demo's questions.

    Args:
        split: which of the two sets.

    Returns:
        Each with ``_id``, ``text`` and ``kind``: ``lexical`` where a name, a flag or an error
        text is looked up, ``meaning`` where the words of the answer are not known.

    Example:
        >>> questions()[0]["_id"], questions(split="dev")[0]["_id"]
        ('q001', 'dev-001')
    """
    lines = (_HERE / _QUESTIONS[split]).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def judgments(*, split: Split = "test") -> dict[str, dict[str, int]]:
    """Read the graded answers.

    Args:
        split: the questions whose answers are read.

    Returns:
        For each question the documents that were judged: 2 answers it, 1 helps, 0 does not.

    Raises:
        InputError: a line of the file is not a judgment.
    """
    path = _HERE / "qrels" / f"{split}.tsv"
    graded: dict[str, dict[str, int]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if number == 1 and fields == _QRELS_HEADER:
            continue
        if len(fields) != len(_QRELS_HEADER) or fields[2] not in ("0", "1", "2"):
            raise InputError(f"{path.name} line {number}: expected a query, a document and 0-2")
        graded.setdefault(fields[0], {})[fields[1]] = int(fields[2])
    return graded


def write_beir(folder: Path) -> BeirCounts:
    """Write corpus, questions and judgments as a folder that ``funnel evaluate`` reads.

    Judgments of documents that the running Python does not have are left out. What is in the
    folder under the same names is replaced, each file at once.

    Args:
        folder: made if it is not there; gets ``corpus.jsonl``, ``queries.jsonl``,
            ``qrels/test.tsv`` and ``qrels/dev.tsv``.

    Returns:
        How much was written, of both splits together.

    Raises:
        InputError: the documentation could not be read, or the folder not written.
    """
    documents = stdlib_documents()
    known = {document["_id"] for document in documents}
    asked = [question for split in _QUESTIONS for question in questions(split=split)]
    judged = {split: _judged_lines(split, known=known) for split in _QUESTIONS}
    try:
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        _write_lines(folder / "corpus.jsonl", lines=map(_as_json, documents))
        _write_lines(folder / "queries.jsonl", lines=map(_as_json, asked))
        for split, lines in judged.items():
            path = folder / "qrels" / f"{split}.tsv"
            _write_lines(path, lines=["\t".join(_QRELS_HEADER), *lines])
    except OSError as error:
        raise InputError(f"the demo's corpus cannot be written: {error}") from error
    return BeirCounts(
        documents=len(documents),
        queries=len(asked),
        judgments=sum(len(lines) for lines in judged.values()),
    )


def _judged_lines(split: Split, *, known: Collection[str]) -> list[str]:
    return [
        f"{query_id}\t{doc_id}\t{grade}"
        for query_id, grades in judgments(split=split).items()
        for doc_id, grade in grades.items()
        if doc_id in known
    ]


def _as_json(record: dict[str, str]) -> str:
    return json.dumps(record, ensure_ascii=False)


def _write_lines(path: Path, *, lines: Iterable[str]) -> None:
    # Written aside and moved: a run that is cut off leaves no half corpus to be evaluated.
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
    part.replace(path)
