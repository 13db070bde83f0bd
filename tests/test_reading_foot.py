"""Rows around a table that are none: notes below it, sums, a survey's second line, years above."""

import io

import numpy as np
import pytest
from texts import columns, read, words

from xpnn.tables import TableError
from xpnn.tables.problem import make_problem
from xpnn.tables.values import parse_column

DAYS = "".join(f"1962-{m:02d},{500 + m * 7 % 11}\n" for m in range(1, 13))
TOWNS = "".join(
    f"{t},{i * 3 % 7},{i * 5 % 11}.5\n" for i, t in enumerate(["Ulm", "Bonn", "Hof", "Zug"] * 4)
)


@pytest.mark.parametrize(
    "foot",
    [
        "\nMonthly counts: pounds in Jan 62 to Dec 62\n",
        "\n\nData from database: Own Indicators\nLast Updated: 2020-01-02\n",
        "Source: our own counts\n",
        '"Note: of 1962, or later"\n',
        "* preliminary\n",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_notes_below_a_table_are_left_out(tmp_path, foot, end):
    plain = read(tmp_path, "month,count\n" + DAYS)
    table = read(tmp_path, ("month,count\n" + DAYS + foot).replace("\n", end))
    assert columns(table) == columns(plain)
    lines = foot.strip().count("\n") + 1
    assert table.notes[0].startswith(f"left out {lines} line{'s' * (lines > 1)} below the table (")


@pytest.mark.parametrize(
    "end", ["1963-01,\n", "1963-01\n", "\n1963-01\n", "\n1963-01,5\n", '1963-01,"a\nb"\n']
)
def test_a_last_row_of_values_stays(tmp_path, end):
    table = read(tmp_path, "month,count\n" + DAYS + end)
    assert table.n_rows == 13
    assert not any("below" in note for note in table.notes)


def test_rows_of_one_value_throughout_are_no_notes(tmp_path):
    assert read(tmp_path, "a,b\n" + "x,1\nlong text here\n" * 30).n_rows == 60


def test_notes_below_a_sheet(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in ("town,size,rate\n" + TOWNS).splitlines():
        book.active.append(row.split(","))
    book.active.append([])
    book.active.append(["Source: our own counts of the four towns"])
    out = io.BytesIO()
    book.save(out)
    table = read(tmp_path, out.getvalue(), "t.xlsx")
    assert table.n_rows == 16
    assert "left out 1 line below the table (" in table.notes[0]


def test_a_row_that_sums_the_others_up_is_left_out(tmp_path):
    total = (
        f"Total,{sum(i * 3 % 7 for i in range(16))},{sum(i * 5 % 11 + 0.5 for i in range(16))}\n"
    )
    problem = make_problem(read(tmp_path, "town,size,rate\n" + TOWNS + total))
    assert len(problem.y) == 16
    assert "left out the last row, 'Total': it is the sum of the others" in problem.notices
    problem = make_problem(read(tmp_path, "town,size,rate\n" + TOWNS + "Total,3,4.5\n"))
    assert len(problem.y) == 17
    assert any("the last row has 'Total'; if it sums" in note for note in problem.notices)
    problem = make_problem(read(tmp_path, "town,size,rate\n" + TOWNS + "Total,3,4.5\n" * 2))
    assert not any("Total" in note for note in problem.notices)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("town,2020 Population,10 Min Mean", ["town", "2020 Population", "10 Min Mean"]),
        ("town,2011,2010", ["town", "2011", "2010"]),
        ("town,,2008", ["town", "column_2", "2008"]),
    ],
)
def test_names_that_begin_with_numbers_or_are_years(tmp_path, names, told):
    assert list(read(tmp_path, f"{names}\n{TOWNS}").columns) == told


@pytest.mark.parametrize("first", ["Rom,5 kg,3", "Rom,1950,2.5", "Rom,3,1.5"])
def test_a_first_row_of_numbers_is_no_name(tmp_path, first):
    below = TOWNS if "kg" not in first else TOWNS.replace(",0,", ",0 kg,")
    assert next(iter(read(tmp_path, f"{first}\n{below}").columns)) == "column_1"


def test_a_second_line_of_names_below_numbers(tmp_path):
    table = read(tmp_path, f"0,1,2\n,size,rate\n{TOWNS}")
    assert list(table.columns) == ["0", "size", "rate"]


def test_the_second_line_of_a_survey(tmp_path):
    first, second = "Do you?,Why?,Which?,,Age\n", "Response,Open-Ended Response,tea,milk,Response\n"
    rows = "yes,so,tea,,18-29\nno,,tea,milk,30-44\nyes,as,,milk,18-29\n" * 5
    table = read(tmp_path, first + second + rows)
    assert list(table.columns) == ["Do you?", "Why?", "tea", "milk", "Age"]
    assert table.n_rows == 15


def test_values_between_pairs_of_colons(tmp_path):
    rows = "".join(
        f"{i}::Film{',' * (i % 3)} {i} (1990)::drama{'|war' * (i % 4)}\n" for i in range(9)
    )
    table = read(tmp_path, rows, "films.dat")
    assert list(table.columns) == ["column_1", "column_2", "column_3"]
    assert table.columns["column_2"][3] == "Film 3 (1990)"
    assert list(read(tmp_path, "a,b\n" + "x::y,1\n" * 9).columns) == ["a", "b"]


AREAS = [str(v) for v in range(500, 2500)]


def test_ranges_among_many_numbers_are_missing(tmp_path):
    from xpnn.tables.values import parse_as

    strays = [f"{v} - {v + 99}" for v in range(1000, 1050)]
    parsed = parse_column(words(*AREAS, *strays))
    assert parsed.kind == "numeric"
    assert np.isnan(parsed.values).sum() == 50
    assert parsed.notes[0].startswith("50 of 2,050 values are no numbers ('1000 - 1099'")
    again = parse_as(words("7", "3 - 5"), "numeric", parsed.style, "area")
    np.testing.assert_array_equal(again, [7, np.nan])
    with pytest.raises(TableError, match="'area' should be numbers, got '3 m' in row 1"):
        parse_as(words("3 m", "4 m", "5 m"), "numeric", parsed.style, "area")
    assert parse_column(words(*AREAS[:50], "900 - 950")).kind == "words"
    assert parse_column(words(*AREAS, *strays * 3)).kind == "words"


def test_a_word_in_many_rows_among_many_numbers_is_missing():
    parsed = parse_column(words(*AREAS, *["Undisclosed"] * 800))
    assert (parsed.kind, np.isnan(parsed.values).sum()) == ("numeric", 800)
    rare = [*["Undisclosed"] * 90, *"abcdef"]
    assert np.isnan(parse_column(words(*AREAS[:99], *rare)).values).sum() == 96
    assert parse_column(words(*AREAS[:40], *["Crew"] * 9)).kind == "words"


def test_days_a_month_apart_among_minutes_are_read_the_other_way():
    texts = [
        f"6/{day}/2001 {hour}:{m:02d}:00 PM"
        for day in (11, 12)
        for hour in (1, 2)
        for m in range(60)
    ]
    parsed = parse_column(words(*texts))
    assert parsed.style["order"] == "mdy"
    months = parse_column(words(*(f"{m}/1/{y}" for y in (2001, 2002) for m in range(1, 13))))
    assert str(months.values[1])[:10] == "2001-02-01"


def test_numbers_among_words_are_told(tmp_path):
    price = [str(v) for v in range(100, 160)] + [f"about {v}" for v in range(20)]
    rows = "".join(f"{p},{i % 7},{'ab'[i % 2]}\n" for i, p in enumerate(price * 3))
    table = read(tmp_path, "price,size,kind\n" + rows)
    told = "'price': it holds numbers, and texts such as 'about 0': write these as numbers"
    assert any(n.startswith(told) for n in make_problem(table).notices)
    assert any(n.startswith(told) for n in make_problem(table, "price").notices)
    street = [f"{i} {['Main', 'High', 'Long'][i % 3]} Street" for i in range(60)]
    rows = "".join(f"{s},{i % 7},{i % 5}\n" for i, s in enumerate(street))
    notices = make_problem(read(tmp_path, "address,rooms,size\n" + rows)).notices
    assert not any("holds numbers" in n for n in notices)


def test_a_range_of_prices_is_a_class(tmp_path):
    table = read(tmp_path, "size,price_range\n" + "1,0\n2,1\n3,2\n4,3\n" * 9)
    assert make_problem(table).target.task == "classification"
