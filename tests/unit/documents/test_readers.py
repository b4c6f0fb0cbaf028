"""Files into documents: every format, and every way in which a file can be broken."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.document import Document, content_id
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.documents.readers import format_of, read_documents, read_files


def _file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def test_ndjson_takes_ids_from_underscore_id_and_keeps_it_out_of_the_source(tmp_path: Path) -> None:
    path = _file(
        tmp_path, "a.ndjson", '{"_id": 7, "title": "Heat"}\n\n{"_id": "b", "year": 1995}\n'
    )
    assert list(read_documents(path)) == [
        Document("7", {"title": "Heat"}),
        Document("b", {"year": 1995}),
    ]


def test_ndjson_keeps_a_field_called_id(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.jsonl", '{"id": "x", "t": 1}')
    assert list(read_documents(path)) == [Document("x", {"id": "x", "t": 1})]


def test_ndjson_without_ids_gets_the_same_ids_every_time(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.ndjson", '{"t": "one"}\n{"t": "two"}\n')
    first = [document.doc_id for document in read_documents(path)]
    again = [document.doc_id for document in read_documents(path)]
    assert first == again == [content_id({"t": "one"}), content_id({"t": "two"})]


def test_a_null_id_counts_as_none(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.ndjson", '{"id": null, "t": 1}')
    (document,) = read_documents(path)
    assert document.doc_id == content_id({"id": None, "t": 1})


def test_exported_lines_are_unwrapped(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.json", '{"_index": "i", "_id": "1", "_source": {"t": 1}}')
    assert list(read_documents(path)) == [Document("1", {"t": 1})]


def test_id_field_names_the_id(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.ndjson", '{"sku": "s1", "id": 3}')
    assert list(read_documents(path, id_field="sku")) == [Document("s1", {"sku": "s1", "id": 3})]


def test_beir_folder_leaves_empty_titles_and_metadata_out(tmp_path: Path) -> None:
    rows = [
        {"_id": "1", "title": "", "text": "alone", "metadata": {}},
        {"_id": "2", "title": "Heat", "text": "", "metadata": {"year": 1995}, "extra": 1},
    ]
    _file(tmp_path, "corpus.jsonl", "\n".join(map(json.dumps, rows)))
    assert list(read_documents(tmp_path)) == [
        Document("1", {"text": "alone"}),
        Document("2", {"title": "Heat", "metadata": {"year": 1995}}),
    ]


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    path = _file(tmp_path, "corpus.jsonl.gz", '{"_id": "1", "title": "a", "text": "b"}')
    assert [document.doc_id for document in read_documents(path)] == ["1"]
    assert [document.doc_id for document in read_documents(tmp_path)] == ["1"]


def test_csv_reads_quoted_lines_and_leaves_empty_cells_out(tmp_path: Path) -> None:
    path = _file(
        tmp_path, "a.csv", 'id,title,text\r\n1,"Heat, the film","two\nlines"\r\n\r\n2,,x\r\n'
    )
    assert list(read_documents(path)) == [
        Document("1", {"id": "1", "title": "Heat, the film", "text": "two\nlines"}),
        Document("2", {"id": "2", "text": "x"}),
    ]


def test_csv_with_semicolons(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", "_id;title\n1;a, b\n")
    assert list(read_documents(path)) == [Document("1", {"title": "a, b"})]


def test_tsv_takes_quotes_as_they_are(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.tsv", 'id\ttitle\n1\t19" screen\n')
    assert list(read_documents(path)) == [Document("1", {"id": "1", "title": '19" screen'})]


def test_csv_without_an_id_column_gets_ids_of_its_content(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", "title\na\n")
    assert list(read_documents(path)) == [Document(content_id({"title": "a"}), {"title": "a"})]


@pytest.mark.parametrize("name", ["a.ndjson", "a.csv"])
def test_a_byte_order_mark_is_passed_over(tmp_path: Path, name: str) -> None:
    content = '{"_id": "1", "t": "x"}' if name == "a.ndjson" else "_id,t\n1,x\n"
    path = _file(tmp_path, name, b"\xef\xbb\xbf" + content.encode())
    assert list(read_documents(path)) == [Document("1", {"t": "x"})]


def test_a_huge_line_is_read(tmp_path: Path) -> None:
    text = "word " * 1_000_000
    ndjson = _file(tmp_path, "a.ndjson", json.dumps({"_id": "1", "text": text}))
    table = _file(tmp_path, "a.csv", f"_id,text\n1,{text}\n")
    assert list(read_documents(ndjson)) == list(read_documents(table))


def test_dead_letters_are_read_back(tmp_path: Path) -> None:
    letter = {"_id": "1", "status": 400, "reason": "mapping", "body": {"t": 1}}
    path = _file(tmp_path, "dead.ndjson.gz", json.dumps(letter))
    assert list(read_documents(path, format="dead-letters")) == [Document("1", {"t": 1})]


GOOD = '{"_id": "1", "text": "a"}\n{"_id": "2", "text": "b"}\n'

BROKEN = [
    ("a.ndjson", "", "a.ndjson has no documents"),
    ("a.ndjson", "\n  \n", "a.ndjson has no documents"),
    ("a.csv", "", "a.csv has no documents"),
    ("a.csv", "id,title\n", "a.csv has no documents"),
    ("a.ndjson.gz", "", "a.ndjson.gz has no documents"),
    ("a.ndjson", GOOD + '{"_id": "3", "te', "a.ndjson:3: not valid JSON: "),
    ("a.ndjson", GOOD + "[1, 2]", "a.ndjson:3: expected a JSON object, found a list"),
    ("a.ndjson", GOOD + '{"_id": "1"}', "a.ndjson:3: id '1' was given to "),
    ("a.ndjson", GOOD + '{"_id": true}', "a.ndjson:3: _id must be text or a whole number"),
    ("a.ndjson", GOOD + '{"_id": 1.5}', "a.ndjson:3: _id must be text or a whole number"),
    ("a.ndjson", GOOD + '{"_id": ""}', "a.ndjson:3: _id is empty"),
    ("a.ndjson", json.dumps({"_id": "é" * 257}), "a.ndjson:1: _id is longer than 512 bytes"),
    ("a.ndjson", GOOD + '{"a": "\\ud800"}', "a.ndjson:3: not valid JSON"),
    ("a.ndjson", GOOD + '{"a": NaN}', "a.ndjson:3: not valid JSON"),
    ("a.ndjson", "[" * 10_000, "a.ndjson:1: not valid JSON"),
    ("a.ndjson", GOOD.encode() + b'{"a": "\xe9"}', "a.ndjson:3: not valid UTF-8 (byte 0xe9 at"),
    ("a.ndjson", GOOD.encode("utf-16"), "a.ndjson is UTF-16: save it as UTF-8"),
    ("corpus.jsonl", '{"_id": "1", "title": "x"}', "corpus.jsonl:1: no 'text'"),
    ("corpus.jsonl", '{"title": "x", "text": "y"}', "corpus.jsonl:1: no '_id'"),
    ("corpus.jsonl", '{"_id": "1", "text": ["y"]}', "corpus.jsonl:1: 'text' must be text, not a l"),
    ("a.csv", "id,t\n1,a\n2,b,c\n", "a.csv:3: 3 columns where the header has 2"),
    ("a.csv", "id,t\n1,a\n2\n", "a.csv:3: 1 columns where the header has 2"),
    ("a.csv", "id,t,t\n1,a,b\n", "a.csv:1: the header has column 't' twice"),
    ("a.csv", "id,,t\n1,a,b\n", "a.csv:1: column 2 has no name"),
    ("a.csv", 'id,t\n1,"open\n2,b\n', "a.csv:3: not a valid row"),
    ("a.csv", "id,t\n,a\n", "a.csv:2: id is empty"),
    ("a.csv", "id,t\n1,a\n1,b\n", "a.csv:3: id '1' was given to "),
    ("a.xyz", "anything", "a.xyz: the name does not tell the format: give --format"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_broken_files_are_refused_by_place_and_cause(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = _file(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        list(read_documents(path))
    assert str(caught.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(caught.value)


def test_a_doubled_id_names_both_lines(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.ndjson", GOOD + '{"_id": "1"}')
    with pytest.raises(InputError, match=rf"{path}:3: id '1' was given to {path}:1 before"):
        list(read_documents(path))


def test_a_doubled_id_over_two_files_names_both(tmp_path: Path) -> None:
    one, two = _file(tmp_path, "a.ndjson", GOOD), _file(tmp_path, "b.csv", "_id,t\n2,x\n")
    with pytest.raises(InputError, match=rf"{two}:2: id '2' was given to {one}:2 before"):
        list(read_files([one, two]))


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    many = "".join(f'{{"_id": "{number}"}}\n' for number in range(5000))
    path = _file(tmp_path, "a.ndjson.gz", many)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match="archive is damaged or cut off"):
        list(read_documents(path))


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_text(GOOD)
    with pytest.raises(InputError, match=r"a\.ndjson\.gz:1: the archive is damaged"):
        list(read_documents(path))


def test_an_archive_that_unpacks_to_one_endless_line_is_stopped(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.ndjson.gz", b"x" * 5_000_000)
    with pytest.raises(InputError, match=r"a\.ndjson\.gz:1: the line is longer than 1 MB"):
        list(numbered_lines(path, longest=1_000_000))


def test_missing_files_folders_and_fields_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        list(read_documents(tmp_path / "none.ndjson"))
    with pytest.raises(InputError, match=r"has no corpus\.jsonl"):
        list(read_documents(tmp_path))
    with pytest.raises(InputError, match=r":1: no field 'sku'"):
        list(read_documents(_file(tmp_path, "a.ndjson", GOOD), id_field="sku"))
    with pytest.raises(InputError, match=r":1: no column 'sku'; there are: id, t"):
        list(read_documents(_file(tmp_path, "a.csv", "id,t\n1,a\n"), id_field="sku"))
    with pytest.raises(InputError, match="unknown format 'xml'"):
        list(read_documents(_file(tmp_path, "b.ndjson", GOOD), format="xml"))
    with pytest.raises(InputError, match="not a dead letter"):
        list(read_documents(_file(tmp_path, "c.ndjson", GOOD), format="dead-letters"))


def test_formats_are_told_from_names() -> None:
    names = {"a.csv.gz": "csv", "b.TSV": "tsv", "c.jsonl": "ndjson", "d/corpus.jsonl.gz": "beir"}
    assert {name: format_of(Path(name)) for name in names} == names
