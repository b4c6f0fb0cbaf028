"""Functions of Python's standard library as documents, without the words that describe them."""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fusion_study.kept_sets import Pair

_QUERY_WORDS = range(4, 26)
_CODE_LETTERS = range(100, 2501)
_FIRST_SENTENCE = re.compile(r"(?<=\.)\s|\n\s*\n")
_LEAST_STATEMENTS = 3
_LEFT_OUT = frozenset({"test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages"})


def functions() -> list[Pair]:
    """Return functions as documents, each with the first sentence of its docstring as a query.

    Another Python gives another collection, one of the same kind.
    """
    root = Path(sysconfig.get_path("stdlib"))
    found: dict[str, Pair] = {}
    for file in sorted(root.rglob("*.py")):
        inside = file.relative_to(root).parts
        if _LEFT_OUT.isdisjoint(inside):
            for pair in _functions(file, name="/".join(inside)):
                # The same sentence above two functions would make one of them a wrong answer.
                found.setdefault(pair.query.lower(), pair)
    return sorted(found.values(), key=lambda pair: pair.doc_id)


def _functions(file: Path, *, name: str) -> Iterator[Pair]:
    try:
        source = file.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    lines = source.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        described = ast.get_docstring(node)
        if not described or len(node.body) < _LEAST_STATEMENTS:
            continue
        query = " ".join(_FIRST_SENTENCE.split(described.strip())[0].split())
        # The docstring is the first statement: what is before and after it is the code.
        head = lines[node.lineno - 1 : node.body[0].lineno - 1]
        code = "\n".join([*head, *lines[node.body[1].lineno - 1 : node.end_lineno]])
        if len(query.split()) in _QUERY_WORDS and len(code) in _CODE_LETTERS:
            yield Pair(doc_id=f"{name}:{node.lineno}", query=query, text=code)
