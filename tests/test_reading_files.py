"""Encodings, archives, Parquet, workbooks: what a table's file may be, and what is no table."""

import bz2
import gzip
import io
import itertools
import lzma
import sys
import zipfile

import pytest
from texts import EXPECTED, PLAIN, columns, read

from xpnn.tables import TableError, read_table
from xpnn.tables.frames import read_frame

# -- bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", None), ("utf-8-sig", None), ("utf-16", "utf-16"), ("utf-32", "utf-32"),
        ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"), ("cp1252", "cp1252"),
        ("latin-1", "cp1252"),
    ],
)  # fmt: skip
def test_encodings_are_told(tmp_path, encoding, note):
    table = read(tmp_path, "größe,ville\n1,Orléans\n2,Köln\n".encode(encoding))
    assert columns(table) == {"größe": [1, 2], "ville": ["Orléans", "Köln"]}
    told = f"not UTF-8: read as {note}; --encoding names another"
    assert table.notes == ((told,) if note else ())


def test_an_encoding_can_be_named(tmp_path):
    table = read(tmp_path, "щит,да\nщи,1\n".encode("cp1251"), encoding="cp1251")
    assert columns(table) == {"щит": ["щи"], "да": [1]}
    with pytest.raises(TableError, match="no text in ascii; try another --encoding"):
        read(tmp_path, "é,y\n1,2\n", encoding="ascii")


def test_the_bytes_of_cp1252_and_the_marks_of_unicode_stay_in_their_value(tmp_path):
    assert read(tmp_path, b"a,b\nwait\x85what,1\n").columns["a"][0] == "wait\u2026what"
    for mark in "\v\f\x1c\x1d\x1e\x85\u2028\u2029":
        assert read(tmp_path, f"a,b\nx{mark}y,1\n").columns["a"][0] == f"x{mark}y"


def zipped(data, *names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv", "t", "t.data"])
@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, lambda d: zipped(d, "in/t.csv"), lambda d: d],
    ids=["gz", "bz2", "xz", "zip", "plain"],
)
def test_packed_tables_and_any_name_are_read(tmp_path, pack, name):
    table = read(tmp_path, pack(PLAIN.encode()), name)
    assert columns(table) == EXPECTED
    assert table.name == "t"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped(b"a", "x.csv", "y.csv"), r"holds 2 files \(x.csv, y.csv\); unpack it"),
        (gzip.compress(PLAIN.encode())[:-9], "damaged archive"),
        (zipped(b"a", "x.csv")[:-9], "damaged archive"),
        (bytes(range(256)) * 9, "no table: neither text nor Parquet"),
        (b"<!DOCTYPE html><p>Not found", "t.csv is a web page, not a table; save it as CSV"),
        (b'[{"a": 1},\n {"a": 2,}]', "t.csv is damaged JSON, line 2: "),
        (b'{"a": 1}\n{"a": 2\n', "t.csv is damaged JSON, line 3: "),
        (b'[{"a": 1}, 2]', r"t.csv is JSON, but no table: write a list of objects"),
        (b'[{"a": [1]}]', "t.csv has no column of plain values: left out 'a': it holds lists"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "no table: neither text nor Parquet"),
        (b"PAR1 nothing", "no Parquet file, or is damaged"),
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,b,c\n", "is empty: it has no rows"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 values under 2 columns. Put quotes around"),
        (b"# c\na,b\n1,2\n\n1,2,3\n", "line 5: 3 values under 2 columns"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "line 3: a quote is opened that is never closed"),
    ],
    ids=itertools.count(),
)
def test_what_cannot_be_read_is_said(tmp_path, data, message):
    with pytest.raises(TableError, match=message):
        read(tmp_path, data)


def test_standard_input_is_read(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(PLAIN.encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    table = read_table("-")
    assert (table.name, columns(table)) == ("stdin", EXPECTED)


# -- Parquet and workbooks ----------------------------------------------------------------------


def parquet(tmp_path, **arrays):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(arrays), tmp_path / "t.parquet")
    return read_table(tmp_path / "t.parquet")


def test_the_types_of_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import datetime as dt

    noon = dt.datetime(2020, 1, 1, 12)
    table = parquet(
        tmp_path,
        whole=pa.array([2**60 + 1, None]),
        flag=pa.array([True, None]),
        words=pa.array([" a ", None]).dictionary_encode(),
        numbers=pa.array(["1.5", ""]),
        bytes=pa.array([b"x", None]),
        day=pa.array([noon.date(), None]),
        moment=pa.array([noon, None], pa.timestamp("ns")),
        zoned=pa.array([noon, None], pa.timestamp("ms", "Asia/Tokyo")),
        clock=pa.array([dt.time(0, 1), None]),
        span=pa.array([dt.timedelta(days=1), None], pa.duration("ns")),
        lists=pa.array([["a"], None]),
        nothing=pa.nulls(2),
        exact=pa.array([1, None], pa.decimal128(9, 2)),
    )
    expected = {
        "whole": [2**60, None], "flag": [1, None], "words": ["a", None], "numbers": [1.5, None],
        "bytes": ["x", None], "day": [dt.datetime(2020, 1, 1), None], "moment": [noon, None],
        "zoned": [noon, None], "clock": [60, None], "span": [86400, None],
        "nothing": [None, None], "exact": [1, None],
    }  # fmt: skip
    found = {n: [None if v != v else v for v in c] for n, c in columns(table).items()}
    assert found == expected
    assert table.notes[0].startswith("left out 'lists': it holds list<")
    assert table.text("whole").tolist() == [str(2**60 + 1), None]
    assert table.text("flag").tolist() == ["True", None]


def test_columns_of_one_name_are_called_alike_in_parquet_and_in_frames(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    names, called = ["x", "x", "x", "x_2"], ["x", "x_3", "x_4", "x_2"]
    pq.write_table(pa.table([[1.0], [2.0], [3.0], [4.0]], names), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert columns(table) == {name: [i] for i, name in enumerate(called, 1)}
    assert table.notes == tuple(f"a second column 'x' is called '{n}'" for n in called[1:3])
    frame = pytest.importorskip("pandas").DataFrame([[1.0, 2.0, 3.0, 4.0]], columns=names)
    assert list(read_frame(frame).columns) == called


def test_an_index_of_pandas_is_no_target(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"x": [1.5, 2.5], "kind": ["a", "b"]}, index=[7, 9])
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert list(table.columns) == ["x", "kind"]
    assert table.notes == ("left out '__index_level_0__': pandas' index",)
    frame.rename_axis("key").to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").columns) == ["key", "x", "kind"]


def test_a_workbook_is_read(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    import datetime as dt

    book = openpyxl.Workbook()
    book.create_sheet("Sizes")
    for row in (
        ["Sizes of 2020"], [], ["size", "town", "day"], [1.5, "Ulm", dt.datetime(2020, 1, 1)],
        [2, None, dt.datetime(2020, 1, 2)],
    ):  # fmt: skip
        book["Sizes"].append(row)
    book.save(tmp_path / "t.xlsx")
    table = read_table(tmp_path / "t.xlsx")
    assert columns(table) == {
        "size": [1.5, 2],
        "town": ["Ulm", None],
        "day": ["2020-01-01T00:00:00", "2020-01-02T00:00:00"],
    }
    assert table.notes == (
        "read the sheet 'Sizes'; there is 'Sheet' too: --sheet names another",
        "left out 1 line above the table",
    )


def test_a_workbook_without_openpyxl_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ImportError, match=r'pip install "xpnn\[data\]"'):
        read(tmp_path, zipped(b"", "[Content_Types].xml"), "t.xlsx")
