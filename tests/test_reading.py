"""Text into columns: separators, names, titles, gaps; the same with and without pyarrow."""

import csv
import io
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from texts import EXPECTED, PLAIN, columns, read, write

from xpnn.tables import TableError, read_table
from xpnn.tables.delimited import read_delimited
from xpnn.tables.read import ReadOptions

# Small tables of every kind: those that the readers must agree on, with what they must find.
TEXTS = {
    "comma": (PLAIN, EXPECTED),
    "semicolon": (PLAIN.replace(",", ";"), EXPECTED),
    "pipe": (PLAIN.replace(",", "|"), EXPECTED),
    "tab": (PLAIN.replace(",", "\t"), EXPECTED),
    "spaces": (PLAIN.replace(",", "   "), EXPECTED),
    "leading spaces": ("\n".join("  " + x for x in PLAIN.replace(",", " ").split("\n")), EXPECTED),
    "old mac": (PLAIN.replace("\n", "\r"), EXPECTED),
    "no end": (PLAIN.rstrip(), EXPECTED),
    "blank lines": (PLAIN.replace("\n", "\n\n"), EXPECTED),
    "spaces after commas": (PLAIN.replace(",", ", "), EXPECTED),
    "blank line of spaces": (PLAIN + "   \n", EXPECTED),
    "quotes": ('"size","town"\n1.5,"Ulm"\n"2",Bonn\n2.5,"Ulm"\n', EXPECTED),
    "single quotes": (PLAIN.replace("Ulm", "'Ulm'").replace("Bonn", "'Bonn'"), EXPECTED),
    "quoted newline": ('a,b\n"x\ny",1\n"z ""w""",2\n', {"a": ["x\ny", 'z "w"'], "b": [1, 2]}),
    "newline in a name": ('"size\n(cm)";y\n0.5;1\n', {"size\n(cm)": [0.5], "y": [1]}),
    "decimal commas": ("a;b\n1,5;2,25\n3,5;4,25\n", {"a": ["1,5", "3,5"], "b": ["2,25", "4,25"]}),
    "sep=": ("sep=;\na;b\n1,2;2\n", {"a": ["1,2"], "b": [2]}),
    "comments": ("# made by a tool, v1\n#\n" + PLAIN, EXPECTED),
    "comments within": (PLAIN.replace("2,Bonn", "# a break\n2,Bonn"), EXPECTED),
    "names in a comment": ("# size town\n1.5 Ulm\n2 Bonn\n2.5 Ulm\n", EXPECTED),
    "titles": ("Sizes of 2020\n\n" + PLAIN, EXPECTED),
    "titles of Excel": ("Sizes of 2020,\n,\n" + PLAIN, EXPECTED),
    "titles with commas": ("A,B\na,b,c,d\n1,2,3,4\n5,6,7,8\n9,8,7,6\n",
                           {"a": [1, 5, 9], "b": [2, 6, 8], "c": [3, 7, 7], "d": [4, 8, 6]}),
    "trailing delimiter": (PLAIN.replace("\n", ",\n"), EXPECTED),
    "trailing in the body": (PLAIN.replace("\n", ",\n").replace("town,", "town"), EXPECTED),
    "short row": ("a,b\n1,2\n3\n", {"a": [1, 3], "b": [2, np.nan]}),
    "R": ('"size" "town"\n"1" 1.5 "Ulm"\n"2" 2 "Bonn"\n"3" 2.5 "Ulm"\n',
          {"column_1": [1, 2, 3], **EXPECTED}),
    "one column": ("size\n1.5\n2\n", {"size": [1.5, 2]}),
    "one column of words": ("sex\nMale\nF\n", {"sex": ["Male", "F"]}),
    "one column of sentences": ("text\nof a kind\nwell\n", {"text": ["of a kind", "well"]}),
    "gaps": ("a,b\n1,\n,x\n", {"a": [1, np.nan], "b": [None, "x"]}),
    "blank names": ("x,,,y\n1,2,3,4\n", {"x": [1], "column_2": [2], "column_3": [3], "y": [4]}),
    "twin names": ("x,x,x_2\n1,2,3\n", {"x": [1], "x_3": [2], "x_2": [3]}),
    "names that differ in capitals": ("X,x\n1,2\n", {"X": [1], "x": [2]}),
    "spaces around": (" size , town \n1.5 , Ulm \n2,Bonn\n2.5,Ulm\n", EXPECTED),
    "years as names": ("land,1990,2000\nA,5,.5\nB,7,.25\n",
                       {"land": ["A", "B"], "1990": [5, 7], "2000": [0.5, 0.25]}),
    "numbered names": ("0,1,2\n.5,a,7\n.5,b,8\n", {"0": [0.5, 0.5], "1": ["a", "b"], "2": [7, 8]}),
    "a NUL": (PLAIN.replace("Bonn", "Bo\0nn"), EXPECTED),
    "quoted lines": ('"size,town"\n"1.5,Ulm"\n"2,Bonn"\n"2.5,Ulm"\n', EXPECTED),
    "odd quotes": ('a,b\n1,5" pipe\n2,x "y" z\n', {"a": [1, 2], "b": ['5" pipe', 'x "y" z']}),
    "spelled numbers": ("a,b\n01,+5\n2.50,1e3\n", {"a": [1, 2.5], "b": [5, 1000]}),
    "no numbers": ("a,b\n1_000,inf\n2,nan\n", {"a": ["1_000", "2"], "b": ["inf", "nan"]}),
}  # fmt: skip

HEADERLESS = {
    "iris": "5.1,3.5,setosa\n4.9,3.0,setosa\n6.3,2.5,other\n",
    "numbers": "1171.8,2,444.7\n4737.2,0,1359.5\n4318.9,8,1284.3\n",
    "words": "p,x,s\ne,x,s\np,b,s\n",
    "dates": "2020-01-01,5\n2020-01-02,7\n",
    "fixed width": "  0.20   18.38   0\n  0.21  134.50   1\n  0.20    1.11   0\n",
    "with gaps": "?,3.5,a\n4.9,3.0,a\n6.3,2.5,b\n",
    "semicolons": "1,5;2\n2,5;3\n",
}


# -- the same by pyarrow and by the standard library --------------------------------------------


def both(text, **options):
    """What the two readers make of a text; or their common error."""
    found = []
    for arrow in (True, False):
        try:
            split = read_delimited(text, "t", arrow=arrow, **options)
        except TableError as error:
            found.append(str(error))
            continue
        values = [(c.values().dtype.kind, repr(c.values().tolist())) for c in split.columns]
        texts = [c.text().tolist() for c in split.columns]
        found.append((split.shape, split.notes, values, texts))
    return found


@pytest.mark.parametrize("kind", [*TEXTS, *HEADERLESS])
def test_pyarrow_reads_what_the_standard_library_reads(kind):
    pytest.importorskip("pyarrow")
    text = TEXTS[kind][0] if kind in TEXTS else HEADERLESS[kind]
    by_arrow, by_rows = both(text)
    assert by_arrow == by_rows


CELL = st.sampled_from(
    (
        *("1", "2.5", "", "a", "b c", '"q, r"', '"a ""b"""', '"x\ny"', '""', '"', "#", "inf"),
        *(" 7 ", "+5", "é", "\u2028", "\f", "0x10", "1_0", "1e400", "٣", "true", "'"),
    )
)

LINES = st.lists(st.lists(CELL, min_size=1, max_size=4).map(",".join), min_size=1, max_size=6)


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@example(["a", 'b"\t",b'], "\n", False)
@example(['"\n"  7'], "\n", False)
def test_pyarrow_reads_any_text_as_the_standard_library_does(lines, end, ended):
    pytest.importorskip("pyarrow")
    by_arrow, by_rows = both(end.join(lines) + (end if ended else ""))
    assert by_arrow == by_rows


def test_large_tables_are_read_by_pyarrow(tmp_path, monkeypatch):
    reader = pytest.importorskip("pyarrow.csv")
    calls = []
    monkeypatch.setattr(
        reader, "read_csv", lambda *a, whole=reader.read_csv: calls.append(1) or whole(*a)
    )
    assert columns(read(tmp_path, PLAIN)) == EXPECTED
    assert calls == [1]


def test_without_pyarrow_tables_are_read_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert columns(read(tmp_path, PLAIN)) == EXPECTED


# -- separators, names, titles ------------------------------------------------------------------


@pytest.mark.parametrize("kind", TEXTS)
def test_tables_as_people_write_them(tmp_path, kind):
    text, expected = TEXTS[kind]
    found = columns(read(tmp_path, text, "t.txt"))
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(np.array(found[name]), np.array(values))


@pytest.mark.parametrize("kind", HEADERLESS)
def test_a_table_without_names_is_told(tmp_path, kind):
    table = read(tmp_path, HEADERLESS[kind], "t.txt")
    assert list(table.columns) == [f"column_{i + 1}" for i in range(len(table.columns))]
    assert table.n_rows == len(HEADERLESS[kind].splitlines())
    assert "no names in the first line" in table.notes[0]
    assert "--header" in table.notes[0]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_first_column_called_by_a_number_sign_is_no_comment(tmp_path, mark):
    table = read(tmp_path, "# a list\n#,size,town\n1,1.5,Ulm\n2,2,Bonn\n".replace(",", mark))
    assert columns(table) == {"#": [1, 2], "size": [1.5, 2], "town": ["Ulm", "Bonn"]}
    assert table.notes == ("left out 1 line of comments",)


def test_names_can_be_said_to_be_there_or_not(tmp_path):
    assert list(read(tmp_path, HEADERLESS["iris"], header=True).columns) == ["5.1", "3.5", "setosa"]
    table = read(tmp_path, PLAIN, header=False)
    assert columns(table)["column_2"] == ["town", "Ulm", "Bonn", "Ulm"]
    assert table.notes == ()


def test_names_known_from_training_tell_whether_they_are_there(tmp_path):
    path = write(tmp_path, "a\nb\nb\n")
    assert list(read_table(path).columns) == ["a"]
    assert columns(read_table(path, expected=("b", "a"))) == {"a": ["b", "b"]}
    one = write(tmp_path, "4.9,3.0\n", "one.csv")
    assert columns(read_table(one)) == {"column_1": [4.9], "column_2": [3]}
    words = read_table(write(tmp_path, "x,y\n"), expected=("column_1", "column_2"))
    assert columns(words) == {"column_1": ["x"], "column_2": ["y"]}
    # The target was the first of three columns, and is not in the new table.
    expected = ("column_2", "column_3", "column_1")
    assert columns(read_table(one, expected=expected)) == {"column_2": [4.9], "column_3": [3]}


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("comments", "left out 2 lines of comments"),
        ("names in a comment", "the names stand in a comment"),
        ("titles", "left out 1 line above the table"),
        ("short row", "1 row has too few values; the others count as missing"),
        ("blank names", "a column without a name is called 'column_2'"),
        ("twin names", "a second column 'x' is called 'x_3'"),
        ("a NUL", "left out NUL characters, 1 of them"),
    ],
)
def test_what_was_decided_is_told(tmp_path, kind, note):
    assert note in read(tmp_path, TEXTS[kind][0]).notes


def test_a_tsv_may_have_commas(tmp_path):
    assert columns(read(tmp_path, '"a, b, c"\ty\n1\t2\n', "t.tsv")) == {"a, b, c": [1], "y": [2]}
    assert columns(read(tmp_path, "a, b, c\ty\n1\t2\n", "t.tsv")) == {"a, b, c": [1], "y": [2]}


def test_columns_of_fixed_width(tmp_path):
    text = "town       size\nNew York     12\nUlm           3\nSan Jose   1234\n"
    expected = {"town": ["New York", "Ulm", "San Jose"], "size": [12, 3, 1234]}
    assert columns(read(tmp_path, text, "t.txt")) == expected


@pytest.mark.parametrize("sep", [":", "^", "~", " ", "tab", "space"])
def test_a_separator_can_be_named(tmp_path, sep):
    mark = {"tab": "\t", "space": " "}.get(sep, sep)
    assert columns(read(tmp_path, PLAIN.replace(",", mark), sep=sep)) == EXPECTED


def test_long_values_are_read(tmp_path):
    long = "x" * 300_000
    before = csv.field_size_limit()
    for text in (f"a,b\n{long},1\n", f'a,b\n"{long}",1\n', f"a,b\n'{long}',1\n"):
        assert len(read(tmp_path, text).columns["a"][0]) == 300_000
    assert csv.field_size_limit() == before


@given(
    rows=st.lists(
        st.tuples(st.text(max_size=8), st.integers(-999, 999), st.text(max_size=8)), min_size=3
    ),
    mark=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
@example([("", 0, ""), ("", 0, ""), ("\t", 0, "0")], "\t", "utf-8")
def test_what_the_csv_module_writes_reads_back_equal(tmp_path_factory, rows, mark, encoding):
    rows = [
        [v.replace("\0", "") if isinstance(v, str) else v for v in row]
        for row in rows
        if not any(isinstance(v, str) and any("\ud800" <= c <= "\udfff" for c in v) for v in row)
    ]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=mark, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([["first", "number", "last"], *rows])
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    if not rows:
        return
    table = read_table(path, ReadOptions(sep=mark))
    assert list(table.columns) == ["first", "number", "last"]
    assert table.columns["number"].tolist() == [row[1] for row in rows]
    for name, i in (("first", 0), ("last", 2)):
        expected = [row[i].strip() or None for row in rows]
        assert table.text(name).tolist() == expected


# -- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sep": "::"}, "--sep takes one character, or tab or space, got '::'"),
        ({"encoding": "utf-9"}, "--encoding 'utf-9' is unknown; try utf-8"),
        ({"decimal": ";"}, "--decimal takes . or , and not ';'"),
        ({"thousands": "x"}, "--thousands takes . , ' or space, and not 'x'"),
        ({"decimal": ",", "thousands": ","}, "--decimal and --thousands are both ','"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(TableError) as caught:
        ReadOptions(**options)
    assert message in str(caught.value)


def test_more_gaps_can_be_named(tmp_path):
    text = "a,b,c\n-1,none,01\n2,x,-1\n"
    table = read(tmp_path, text, na=("-1", "NONE"))
    np.testing.assert_array_equal(table.columns["a"], [np.nan, 2])
    assert table.columns["b"].tolist() == [None, "x"]
    assert table.text("c").tolist() == ["01", None]


def test_the_spelling_is_kept(tmp_path):
    table = read(tmp_path, "a,b,c\n01,1.0,9007199254740993\n2, 2.50 ,\n")
    assert table.columns["a"].dtype == np.float64
    assert table.text("a").tolist() == ["01", "2"]
    assert table.text("b").tolist() == ["1.0", "2.50"]
    assert table.text("c").tolist() == ["9007199254740993", None]
    assert table.with_text(["a", "z"])["a"].tolist() == ["01", "2"]
