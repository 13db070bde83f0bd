"""Tables as other programs leave them: joined, with two headings, in archives, of Weka."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest
from texts import columns, read

from xpnn.tables import TableError, read_table
from xpnn.tables.problem import make_problem, read_alike

ROWS = "".join(f"{i * 3 % 7}.5,{i * 2 % 5},{'xy'[i % 2]}\n" for i in range(10))
PLAIN = "size,count,kind\n" + ROWS


@pytest.fixture
def expected(tmp_path):
    return columns(read(tmp_path, PLAIN, "plain.csv"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_names_that_stand_again_where_files_were_joined_are_left_out(tmp_path, end, mark):
    once = PLAIN.replace("\n", end)
    table = read(tmp_path, (mark + once) * 3)
    assert table.columns["size"].tolist() == [float(r.split(",")[0]) for r in ROWS.split()] * 3
    assert table.columns["kind"].tolist() == ["x", "y"] * 15
    assert table.notes == ("left out 2 lines that repeat the names",)


def test_a_row_like_another_is_no_repeated_name(tmp_path):
    table = read(tmp_path, "b,x\na,x\nb,y\nb,x\n" * 9)
    assert list(table.columns) == ["column_1", "column_2"]
    assert table.n_rows == 36
    one = read(tmp_path, "word\nword\nother\n" * 5, header=True)
    assert one.n_rows == 14


@pytest.mark.parametrize(
    "line", ["[m],[kg],[-]", "m,kg,", "min,max,", "---,:-:,--", "mm^2,10^3/ul,unit"]
)
def test_a_line_of_units_below_the_names_is_left_out(tmp_path, expected, line):
    table = read(tmp_path, PLAIN.replace("\n", f"\n{line}\n", 1))
    assert columns(table) == expected
    assert table.notes[0].startswith("left out the line below the names (")


@pytest.mark.parametrize(
    "line", ["1,kg,x", "unknown,-,x", ",,x", "2.5,3,y"]
)  # a value, or gaps, as a row may have
def test_a_first_row_of_values_or_gaps_stays(tmp_path, line):
    assert read(tmp_path, PLAIN.replace("\n", f"\n{line}\n", 1)).n_rows == 11


def test_a_word_that_stands_again_is_no_unit(tmp_path):
    text = PLAIN.replace("\n", "\nND,ND,x\n", 1) + ROWS * 3 + "ND,ND,y\n"
    assert read(tmp_path, text).n_rows == 42


def test_names_in_the_second_of_two_lines(tmp_path, expected):
    table = read(tmp_path, "body,,\n" + PLAIN)
    assert columns(table) == expected
    table = read(tmp_path, "body,,class\n" + PLAIN)
    assert columns(table) == expected
    assert table.notes == ("the names stand in the second of two lines (size, count, kind)",)


def test_markdown_is_a_table(tmp_path, expected):
    lines = ["| " + line.replace(",", " | ") + " |\n" for line in PLAIN.splitlines()]
    text = lines[0] + "|---|--:|:--|\n" + "".join(lines[1:])
    assert columns(read(tmp_path, text)) == expected


def test_the_end_of_file_of_dos_is_no_row(tmp_path, expected):
    assert columns(read(tmp_path, PLAIN + "\x1a")) == expected


@pytest.mark.parametrize("mark", ["\x01", "^", "~"])
def test_marks_that_are_rare(tmp_path, expected, mark):
    assert columns(read(tmp_path, PLAIN.replace(",", mark))) == expected


def test_one_column_asks_for_the_mark(tmp_path):
    table = read(tmp_path, PLAIN.replace(",", ":"))
    with pytest.raises(TableError, match=r"one column, 'size:count:kind'.*--sep"):
        make_problem(table)
    assert list(read(tmp_path, PLAIN.replace(",", ":"), sep=":").columns) == [
        "size",
        "count",
        "kind",
    ]


def test_a_note_beside_the_table_is_no_column(tmp_path):
    text = PLAIN.replace("\n", ",\n") + "," * 3 + "a note\n" + ROWS.replace("\n", ",\n") * 2
    table = read(tmp_path, text)
    assert list(table.columns) == ["size", "count", "kind"]
    assert table.notes == ("left out column 4: no name, and 1 of 31 values",)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_letters_of_any_script_without_a_mark(tmp_path, encoding):
    text = "名前,値\n" + "東京,1\n京都,2\n" * 9
    table = read(tmp_path, text.encode(encoding))
    assert list(table.columns) == ["名前", "値"]
    assert table.notes == (f"not UTF-8: read as {encoding}; --encoding names another",)


def archive(kind, files):
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as packed:
            for name, data in files.items():
                packed.writestr(name, data)
    else:
        with tarfile.open(fileobj=out, mode=kind) as packed:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zip", "w:", "w:gz", "w:xz"])
def test_the_one_table_of_an_archive_is_read(tmp_path, expected, kind):
    files = {
        "Index": b"...",
        "t/iris.names": b"About it.",
        "t/._t.csv": b"\0",
        "t/t.csv": PLAIN.encode(),
    }
    assert columns(read(tmp_path, archive(kind, files), "t.bin")) == expected
    assert columns(read(tmp_path, gzip.compress(archive(kind, {"t": PLAIN.encode()})))) == expected
    two = archive(kind, {"a.csv": b"a,b\n1,2", "b.csv": b"a,b\n1,2"})
    with pytest.raises(TableError, match=r"holds 2 files \(a.csv, b.csv\); unpack it"):
        read(tmp_path, two)


def test_a_damaged_tar_is_told(tmp_path):
    data = archive("w:", {"t.csv": b"a,b\n1,2\n" * 9999})
    with pytest.raises(TableError, match=r"damaged archive"):
        read(tmp_path, data[: len(data) // 3])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(99), "zstd.*unpack it first"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "7z archive: unpack it first"),
        (b"\xd0\xcf\x11\xe0" + bytes(99), r"old kind: save it as .xlsx or CSV"),
        (b"SQLite format 3\0" + bytes(99), "SQLite: write the table"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
        (b"<table><tr><td>1</td></tr></table>", "a web page"),
        (archive("zip", {"mimetype": b"", "content.xml": b""}), "OpenDocument; save it as .xlsx"),
    ],
)
def test_what_is_no_table_is_called_by_its_name(tmp_path, data, told):
    with pytest.raises(TableError, match=told):
        read(tmp_path, data, "t.bin")


ARFF = """% made by hand
@RELATION things

@attribute 'the size' numeric
@attribute colour{red, 'dark blue'}
@attribute kind {x,y}
@DATA
% a comment
1.5, red, x
?, 'dark blue', y
2, red, x
"""


def test_arff_is_a_table(tmp_path):
    table = read(tmp_path, ARFF, "t.arff")
    assert list(table.columns) == ["the size", "colour", "kind"]
    assert table.columns["colour"].tolist() == ["red", "dark blue", "red"]
    assert table.columns["kind"].tolist() == ["x", "y", "x"]
    np.testing.assert_array_equal(make_problem(table).parsed["the size"].values, [1.5, np.nan, 2])
    keel = ARFF.replace("@DATA", "@inputs colour\n@outputs kind\n@data").replace(
        "% a comment\n", ""
    )
    assert columns(read(tmp_path, keel, "t.dat")) == columns(table)


def test_arff_says_which_numbers_are_categories(tmp_path):
    """Of a column, and of a target of many classes, which would be amounts by their values."""
    head = "@relation r\n@attribute ward {1,2, 3}\n@attribute 'n' INTEGER\n@attribute count {%s}\n"
    head = head % ",".join(map(str, range(1, 13)))
    rows = "".join(f"{1 + i % 3},{i % 7},{1 + i % 12}\n" for i in range(120))
    table = read(tmp_path, head + "@data\n" + rows + "?,1,2\n", "t.arff")
    assert table.categories == {"ward", "count"}
    problem = make_problem(table)
    assert problem.target.task == "classification"
    assert problem.parsed["n"].kind == "numeric"
    ward = problem.parsed["ward"]
    assert ward.kind == "words"
    assert ward.values.tolist()[-3:] == ["2", "3", None]
    np.testing.assert_array_equal(read_alike(problem, table).parsed["ward"].values, ward.values)
    assert make_problem(table, task="regression").target.task == "regression"
    csv = make_problem(read(tmp_path, "ward,n,count\n" + rows))
    assert csv.target.task == "regression"
    assert csv.parsed["ward"].kind == "numeric"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ARFF.partition("1.5")[0] + "{0 1, 2 x}\n", "sparse"),
        (ARFF.partition("@DATA")[0], "without"),
    ],
)
def test_arff_without_rows_is_told(tmp_path, text, told):
    with pytest.raises(TableError, match=told):
        read(tmp_path, text)


def test_feather_is_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather

    feather.write_feather(pa.table({"size": [1, None], "kind": ["x", "y"]}), tmp_path / "t.feather")
    table = read_table(tmp_path / "t.feather")
    np.testing.assert_array_equal(table.columns["size"], [1, np.nan])
    assert table.columns["kind"].tolist() == ["x", "y"]
    data = (tmp_path / "t.feather").read_bytes()
    with pytest.raises(TableError, match="no Arrow file, or is damaged"):
        read(tmp_path, data[: len(data) // 2])


def book(**sheets):
    openpyxl = pytest.importorskip("openpyxl")
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
        if name == "hidden":
            sheet.sheet_state = "hidden"
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def test_the_sheet_with_a_table_is_read_and_another_can_be_named(tmp_path, expected):
    rows = [line.split(",") for line in PLAIN.splitlines()]
    other = [["a", "b"], [1, "u"], [2, "v"]]
    data = book(hidden=other, notes=[["Read me."], ["Data follow."]], data=rows, more=other)
    table = read(tmp_path, data, "t.xlsx")
    assert columns(table) == expected
    told = "read the sheet 'data'; there are 'notes', 'more', 'hidden' too: --sheet names another"
    assert table.notes == (told,)
    assert list(read(tmp_path, data, "t.xlsx", sheet="more").columns) == ["a", "b"]
    with pytest.raises(TableError, match="no sheet 'dato'; did you mean 'data'"):
        read(tmp_path, data, "t.xlsx", sheet="dato")


ABOUT = [["Made by", "A. Name"], ["Unit", "metres"], ["Place", "Ulm"]]


@pytest.mark.parametrize(
    ("name", "first", "taken"),
    [
        ("Overview", ABOUT, "data"),
        ("Overview", [["1", "the data"], ["2", "the codes"], ["3", "more"]], "data"),
        ("Table of contents", [*ABOUT, ["Rows", "10"], ["Columns", "3"]], "data"),
        ("Note", [["Rows", "10"], ["Columns", "3"], ["Year", "2020"]], "data"),
        ("small", [["size", "count", "kind"], ["1", "2", "x"], ["3", "4", "y"]], "small"),
        ("words", [["sky", "play"], *[["sun", "yes"], ["rain", "no"]] * 9], "words"),
        ("notes", [["size", "count"], *[[str(i * i), "1"] for i in range(30)]], "notes"),
    ],
)
def test_a_short_sheet_about_the_table_is_passed_over(tmp_path, name, first, taken):
    rows = [line.split(",") for line in PLAIN.splitlines()]
    table = read(tmp_path, book(**{name: first, "data": rows}), "t.xlsx")
    other = "data" if taken == name else name
    told = f"read the sheet {taken!r}; there is {other!r} too: --sheet names another"
    assert table.notes[0] == told


def test_prediction_reads_the_sheet_that_has_the_names_of_training(tmp_path):
    rows = [line.split(",") for line in PLAIN.splitlines()]
    path = tmp_path / "t.xlsx"
    path.write_bytes(book(other=[["a", "b"], [1, 2], [3, 5]], data=[["A title"], *rows]))
    table = read_table(path, expected=["count", "size", "kind"])
    assert list(table.columns) == ["size", "count", "kind"]


def test_a_sheet_is_of_a_workbook(tmp_path):
    with pytest.raises(TableError, match="--sheet is for a workbook"):
        read(tmp_path, PLAIN, sheet="data")


@pytest.mark.parametrize("commas", [1, 2, 5])
def test_rows_may_end_in_marks_that_the_names_have_not(tmp_path, expected, commas):
    text = PLAIN.replace(ROWS, ROWS.replace("\n", "," * commas + "\n"))
    table = read(tmp_path, text)
    assert columns(table) == expected
    assert table.notes == ()
