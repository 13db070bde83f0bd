"""JSON is read by the rules of CSV: records in a list or in lines, and objects of columns."""

import bz2
import gzip
import json

import numpy as np
import pytest
from commands import QUICK, call
from texts import columns, read

from xpnn.tables import TableError, read_table
from xpnn.tables.problem import make_problem

ROWS = [
    {"size": 1.5, "town": "Ulm", "ok": True, "price": "$1,200"},
    {"size": None, "town": "Köln", "ok": False, "price": "$950"},
    {"town": "Bonn", "ok": True, "price": "$1,700", "size": 20},
]
CSV = 'size,town,ok,price\n1.5,Ulm,true,"$1,200"\n,Köln,false,$950\n20,Bonn,true,"$1,700"\n'


@pytest.fixture
def expected(tmp_path):
    return read(tmp_path, CSV, "plain.csv")


def same(table, expected):
    assert table.notes == ()
    assert list(table.columns) == list(expected.columns)
    for name in table.columns:
        np.testing.assert_array_equal(table.columns[name], expected.columns[name])
        np.testing.assert_array_equal(table.text(name), expected.text(name))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (json.dumps(ROWS), "t.json"),
        (json.dumps(ROWS, indent=2, ensure_ascii=False), "t.json"),
        ("\n\n".join(map(json.dumps, ROWS)), "t.jsonl"),
        ("\r\n".join(map(json.dumps, ROWS)) + "\r\n", "t.ndjson"),
        (json.dumps(ROWS), "t.txt"),
        ("\n".join(map(json.dumps, ROWS)), "t"),
        (json.dumps({n: [row.get(n) for row in ROWS] for n in ROWS[0]}), "t.json"),
        (json.dumps({n: {str(i): r.get(n) for i, r in enumerate(ROWS)} for n in ROWS[0]}), "t"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_json_of_any_form_is_read_as_csv_is(tmp_path, expected, text, name, pack):
    same(read(tmp_path, pack(text.encode()), name), expected)


def test_marks_and_encodings_of_json(tmp_path, expected):
    text = json.dumps(ROWS, ensure_ascii=False)
    same(read(tmp_path, b"\xef\xbb\xbf" + text.encode(), "t.json"), expected)
    found = read(tmp_path, text.encode("utf-16"), "t.json")
    assert columns(found)["town"] == ["Ulm", "Köln", "Bonn"]


def test_rows_below_a_name_are_told(tmp_path, expected):
    table = read(tmp_path, json.dumps({"count": 3, "rows": ROWS}), "t.json")
    assert table.notes == ("JSON: the rows stand in 'rows'",)
    assert columns(table)["town"] == columns(expected)["town"]


def test_numbers_keep_their_spelling_and_texts_are_read(tmp_path):
    text = '[{"a": 1.10, "b": "01", "c": 12345678901234567890, "d": NaN, "e": "N/A"},\n'
    text += '{"a": 2.0, "b": "2", "c": 1e400, "d": -Infinity, "e": "3 kg"}]'
    table = read(tmp_path, text, "t.json")
    given = {name: table.text(name).tolist() for name in table.columns}
    assert given["a"] == ["1.10", "2.0"]
    assert given["b"] == ["01", "2"]
    assert given["c"][0] == "12345678901234567890"
    parsed = make_problem(table, "a", "regression").parsed
    assert np.isnan(parsed["e"].values).tolist() == [True, False]


def test_nested_values_are_left_out_by_name(tmp_path):
    rows = [{"a": 1, "tags": ["x"], "at": {"x": 1}}, {"a": 2, "tags": None, "at": {}}]
    table = read(tmp_path, json.dumps(rows), "t.json")
    assert list(table.columns) == ["a"]
    assert table.notes == (
        "left out 'tags': it holds lists; take their values apart into columns",
        "left out 'at': it holds objects; take their values apart into columns",
    )
    with pytest.raises(TableError, match="damaged JSON, line 1: too deep"):
        read(tmp_path, '[{"a": ' + "[" * 100_000, "t.json")


def test_one_object_is_one_row_and_none_is_empty(tmp_path):
    assert read(tmp_path, '{"size": 1, "town": "Ulm"}', "t.json").n_rows == 1
    with pytest.raises(TableError, match="is empty: it has no rows"):
        read(tmp_path, "[]", "t.json")
    assert read(tmp_path, "a,b\n1,2\n", "t.json").n_rows == 1  # whatever it is called


@pytest.mark.parametrize("name", ["t.json", "t.jsonl.gz"])
def test_json_is_trained_on_and_predicted(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    rows = [{"size": i % 7, "kind": "xy"[i % 2], "price": i % 7 + 3.5 * (i % 2)} for i in range(60)]
    text = json.dumps(rows) if name == "t.json" else "\n".join(map(json.dumps, rows))
    data = gzip.compress(text.encode()) if name.endswith("gz") else text.encode()
    (tmp_path / name).write_bytes(data)
    call("train", name, "--out", "m", *QUICK)
    found = call("predict", "m", name).stdout.split()
    assert (found[0], len(found)) == ("price", 61)
    assert read_table(tmp_path / name).n_rows == 60
