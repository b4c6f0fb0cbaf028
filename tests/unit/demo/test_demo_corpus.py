import itertools
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.demo import corpus, extraction
from opensearch_funnel.demo.corpus import questions, stdlib_documents, write_beir
from opensearch_funnel.evaluating.datasets import read_dataset

KINDS = {"module", "class", "exception", "function", "method", "property", "form"}


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, str]]:
    return {document["_id"]: document for document in stdlib_documents()}


def test_there_are_enough_documents(documents: dict[str, dict[str, str]]) -> None:
    assert len(documents) >= 4_000


def test_ids_are_unique_and_in_order() -> None:
    ids = [document["_id"] for document in stdlib_documents()]
    assert ids == sorted(set(ids))


def test_two_runs_give_the_same_documents(documents: dict[str, dict[str, str]]) -> None:
    assert stdlib_documents() == list(documents.values())


def test_every_document_has_its_fields(documents: dict[str, dict[str, str]]) -> None:
    for identifier, document in documents.items():
        assert set(document) == {"_id", "title", "text", "kind", "module"}
        assert document["title"].startswith(identifier)
        assert len(document["text"].split()) >= corpus.MINIMUM_WORDS
        assert document["kind"] in KINDS


def test_nothing_private_or_removed_is_a_document(documents: dict[str, dict[str, str]]) -> None:
    private = [
        identifier
        for identifier in documents
        if any(part.startswith("_") for part in identifier.split("."))
    ]
    assert private == []
    roots = {document["module"].partition(".")[0] for document in documents.values()}
    assert roots.isdisjoint({"antigravity", "this", "tkinter", "idlelib", "test", "lib2to3", "cgi"})


def test_nothing_changes_from_process_to_process(documents: dict[str, dict[str, str]]) -> None:
    assert [d["_id"] for d in documents.values() if " at 0x" in d["title"] + d["text"]] == []


@pytest.mark.parametrize(
    ("identifier", "kind", "said"),
    [
        ("itertools.groupby", "class", "consecutive keys and groups"),
        ("collections.OrderedDict.move_to_end", "method", "existing element to the end"),
        ("str.removeprefix", "method", "prefix string removed"),
        ("threading.Thread.join", "method", "Wait until the thread terminates"),
        ("shutil.disk_usage", "function", "disk usage statistics"),
        ("os.path.getmtime", "function", "last modification time"),
        ("json.JSONDecodeError", "exception", "unformatted error message"),
        ("heapq", "module", "priority queue"),
        ("typing.Optional", "form", "Optional[X] is equivalent to"),
        ("ipaddress.IPv4Network.subnet_of", "method", "subnet"),
    ],
)
def test_known_names_carry_their_meaning(
    documents: dict[str, dict[str, str]], identifier: str, kind: str, said: str
) -> None:
    assert documents[identifier]["kind"] == kind
    assert said in documents[identifier]["text"]


@pytest.mark.parametrize(
    "name",
    [
        "_collections.OrderedDict",
        "json.decoder.JSONDecodeError",
        "concurrent.futures.thread.ThreadPoolExecutor",
        "unittest.case.TestCase",
        "posixpath.join",
        "io.open",
        "random.Random.choice",  # random.choice is this method of a hidden instance
        "pathlib.Path.as_posix",  # inherited from pathlib.PurePath
    ],
)
def test_a_second_name_is_no_second_document(
    documents: dict[str, dict[str, str]], name: str
) -> None:
    assert name not in documents


def test_an_alias_is_told_in_the_text(documents: dict[str, dict[str, str]]) -> None:
    assert "Also: bisect.insort" in documents["bisect.insort_right"]["text"]


def test_the_title_shows_how_to_call_it(documents: dict[str, dict[str, str]]) -> None:
    assert documents["shlex.split"]["title"].startswith("shlex.split(s, comments=False")
    assert documents["threading.Thread.join"]["title"] == "threading.Thread.join(timeout=None)"


def test_a_member_brings_the_head_of_its_class(documents: dict[str, dict[str, str]]) -> None:
    assert documents["collections.deque.popleft"]["text"].endswith(
        "A list-like sequence optimized for data accesses near its endpoints."
    )


def test_a_module_written_here_is_read_as_the_library_is() -> None:
    class Shelf:
        """A place for books."""

        def __init__(self, width: int) -> None:
            """Make room for so many books."""
            self.width = width

        def add(self, book: str, *, front: object = itertools.count) -> None:
            """Put one book on the shelf."""

        def bare(self) -> None:
            pass

        @property
        def full(self) -> bool:
            """Whether no book fits any more."""
            return False

    module = types.ModuleType("library", "Where books are.\n\nAnd more.")
    Shelf.__module__ = "library"
    vars(module).update(Shelf=Shelf, _Hidden=Shelf, borrowed=json.loads)

    records = {found["_id"]: found for found in extraction.documents_of({"library": module})}

    assert list(records) == ["library", "library.Shelf", "library.Shelf.add", "library.Shelf.full"]
    assert records["library.Shelf"]["title"] == "library.Shelf(width)"
    assert records["library.Shelf"]["text"] == (
        "A place for books.\n\nMake room for so many books.\n\nWhere books are."
    )
    assert records["library.Shelf.add"]["title"] == "library.Shelf.add(book, *, front=...)"
    assert records["library.Shelf.full"]["kind"] == "property"
    assert records["library.Shelf.full"]["text"].endswith("\n\nA place for books.")


def test_reading_prints_only_documents() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-W", "error", str(extraction.__file__)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    assert all(json.loads(line)["_id"] for line in done.stdout.decode("utf-8").splitlines())


def test_the_folder_is_in_beir_layout(tmp_path: Path) -> None:
    counts = write_beir(tmp_path / "demo")

    lines = (tmp_path / "demo" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    ids = {json.loads(line)["_id"] for line in lines}
    queries = (tmp_path / "demo" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    judged = []
    for split in ("test", "dev"):
        path = tmp_path / "demo" / "qrels" / f"{split}.tsv"
        header, *of_split = path.read_text(encoding="utf-8").splitlines()
        assert header == "query-id\tcorpus-id\tscore"
        assert of_split
        judged += of_split
    assert (len(lines), len(queries), len(judged)) == (
        counts.documents,
        counts.queries,
        counts.judgments,
    )
    assert len(ids) == len(lines)
    assert {line.split("\t")[1] for line in judged} <= ids
    assert {line.split("\t")[0] for line in judged} == {json.loads(q)["_id"] for q in queries}
    assert list((tmp_path / "demo").rglob("*.part")) == []


def test_each_split_is_read_by_itself(tmp_path: Path) -> None:
    write_beir(tmp_path)
    test, dev = read_dataset(tmp_path), read_dataset(tmp_path, split="dev")
    assert test.has_split("dev")
    assert {q.query_id for q in test.queries} == {q["_id"] for q in questions()}
    assert {q.query_id for q in dev.queries} == {q["_id"] for q in questions(split="dev")}


def test_a_folder_of_before_there_was_a_dev_split_gets_it(tmp_path: Path) -> None:
    write_beir(tmp_path)
    (tmp_path / "qrels" / "dev.tsv").unlink()
    only_test = [json.dumps(question) for question in questions()]
    (tmp_path / "queries.jsonl").write_text("\n".join(only_test), encoding="utf-8")
    assert not read_dataset(tmp_path).has_split("dev")

    write_beir(tmp_path)

    assert len(read_dataset(tmp_path, split="dev").queries) == len(questions(split="dev"))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file is in the way")
    with pytest.raises(InputError, match="cannot be written") as raised:
        write_beir(tmp_path / "demo")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("script", ["echo what broke >&2; exit 3", "exit 3"])
def test_a_python_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(InputError, match=r"was not read: (what broke|exit status 3)$"):
        stdlib_documents()


@pytest.mark.parametrize("executable", ["", None, "no-such-python"])
def test_a_python_that_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(InputError, match="documentation") as raised:
        stdlib_documents()
    assert "\n" not in str(raised.value)
