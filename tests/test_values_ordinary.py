"""What an ordinary table holds stays what it is: codes are words, 6pm is a time, prices stay."""

import io

import numpy as np
import pytest
from texts import columns, read, words

from xpnn.tables import TableError
from xpnn.tables.problem import make_problem
from xpnn.tables.sound import check_style
from xpnn.tables.values import parse_as, parse_column

HOUR, DAY = 3600.0, 86400.0
MONTH = 365.25 / 12 * DAY


@pytest.mark.parametrize(
    "texts",
    [
        ("1001-01", "1001-02", "1002-01"), ("1234-5", "1235-6"), ("12-3456", "11-1234"),
        ("1/1000", "1/2000"), ("Q11234", "Q21001"), ("1234W12", "1235W13"),
        ("12.34.567", "98.76.543"), ("12 34 567", "98 76 543"),
        ("PT", "PT"), ("P", "T"), ("SET-01", "SET-02"),
        ("2008-09", "2009-10", "2010-11"),
    ],
)  # fmt: skip
def test_codes_are_no_dates_numbers_or_durations(texts):
    parsed = parse_column(words(*texts))
    assert (parsed.kind, parsed.values.tolist()) == ("words", list(texts))


def test_a_country_that_most_rows_have_is_a_word():
    parsed = parse_column(words(*["PT"] * 97, "ES", "ES", "ES"))
    assert set(parsed.values) == {"PT", "ES"}


@pytest.mark.parametrize(
    ("texts", "expected", "months"),
    [
        (("2H 50M", "45M", "1H"), [2 * HOUR + 3000, 2700, HOUR], ""),
        (("45M", "2H"), [2700, 2 * HOUR], ""),
        (("1y 6m", "2y", "3m"), [18 * MONTH, 24 * MONTH, 3 * MONTH], "mM"),
        (("3w", "2m"), [21 * DAY, 2 * MONTH], "mM"),
        (("5m", "1h", "1d", "1w", "1M"), [300, HOUR, DAY, 7 * DAY, MONTH], "M"),
        (("1H", "4H", "1D", "1W", "1M"), [HOUR, 4 * HOUR, DAY, 7 * DAY, MONTH], "M"),
        (("5m", "1h", "1w"), [300, HOUR, 7 * DAY], "M"),
    ],
)
def test_m_is_minutes_beside_hours_and_months_beside_years(texts, expected, months):
    parsed = parse_column(words(*texts))
    assert parsed.kind == "numeric"
    np.testing.assert_allclose(parsed.values, expected, rtol=1e-12)
    assert parsed.style.get("months", "M") == months
    check_style(parsed.style)
    for text, value in zip(texts, parsed.values, strict=True):  # alone, in prediction
        assert parse_as(words(text), "numeric", parsed.style, "x")[0] == value


def test_hours_of_one_half_of_the_day_are_times():
    parsed = parse_column(words("6pm", "7pm", "12pm"))
    assert parsed.values.tolist() == [18 * HOUR, 19 * HOUR, 12 * HOUR]
    assert parse_as(words("9am"), "numeric", parsed.style, "x").tolist() == [9 * HOUR]
    assert parse_column(words("77 pm", "120 pm")).values.tolist() == [77, 120]  # picometres


def test_beside_kilobytes_b_is_a_byte():
    parsed = parse_column(words("512 B", "3 KB", "2 MB", "1.5 GB"))
    assert parsed.values.tolist() == [512, 3e3, 2e6, 1.5e9]
    parsed = parse_column(words("3 KB", "2 MB"))
    assert parse_as(words("512 B"), "numeric", parsed.style, "x").tolist() == [512]
    assert parse_column(words("5B", "20M")).values.tolist() == [5e9, 20e6]


@pytest.mark.parametrize(
    "values",
    [
        [1e15, 1e16, 1e17, 1e18, 1e19, 1e20],  # doping of a semiconductor
        [19.99, 29.99, 99.99],
        [49.0, 99.0, 199.0, 999.0],
    ],
)
def test_magnitudes_and_prices_are_no_gaps(values):
    parsed = parse_column(np.repeat(values, 5))
    assert (parsed.values.tolist(), parsed.notes) == (np.repeat(values, 5).tolist(), ())


@pytest.mark.parametrize("typed", [False, True])
def test_days_that_stand_for_none_are_gaps_of_whatever_type(typed):
    texts = ["2022-02-04T10:00:00", "9999-12-31T23:59:59", "0001-01-01T00:00:00"]
    column = np.array(texts, dtype="M8[us]") if typed else words(*texts)
    parsed = parse_column(column)
    assert np.isnat(parsed.values).tolist() == [False, True, True]
    assert parsed.notes[-1] == "2 of 3 values are 0001-01-01 or 9999-12-31 and count as missing"
    assert np.isnat(parse_as(column[1:], "datetime", parsed.style, "x")).all()


def test_a_column_without_any_time_may_stand_for_numbers():
    gaps = parse_as(np.array(["NaT"], dtype="M8[us]"), "numeric", {}, "x")
    assert gaps.dtype == np.float64
    assert np.isnan(gaps).all()


@pytest.mark.parametrize("name", ["ORCID", "PAR1", "ARROW1", '"PAR1"'])
def test_a_name_may_begin_as_a_binary_file_does(tmp_path, name):
    table = read(tmp_path, f"{name},PAR2\n1.5,2\n3,4\n")
    assert columns(table) == {name.strip('"'): [1.5, 3], "PAR2": [2, 4]}


def test_orc_is_called_by_its_name(tmp_path):
    pa = pytest.importorskip("pyarrow")
    orc = pytest.importorskip("pyarrow.orc")
    out = io.BytesIO()
    orc.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), out)
    with pytest.raises(TableError, match="ORC: write it as Parquet"):
        read(tmp_path, out.getvalue(), "t.orc")


def test_many_lines_of_comments_are_read_at_once(tmp_path):
    table = read(tmp_path, "  % a remark\n\n" * 60 + "a,b\n1,2\n3,5\n")
    assert columns(table) == {"a": [1, 3], "b": [2, 5]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_arff_of_any_system_with_an_attribute_in_a_comment(tmp_path, end):
    text = "@relation r\n% @attribute old numeric\n@attribute a numeric\n"
    text += "@attribute b {x,'y z'}\n@data\n1.5,x\n2,'y z'\n"
    table = read(tmp_path, text.replace("\n", end), "t.arff")
    assert columns(table) == {"a": [1.5, 2], "b": ["x", "y z"]}


@pytest.mark.parametrize(
    ("texts", "style"),
    [
        ((".5", "-.25", "1"), {}),
        ((",5", "3,25"), {"decimal": ","}),
        (("$.5", "$3"), {"marks": ["$"]}),
        (("1,234.5", ".5"), {"grouped": True}),
    ],
)
def test_a_number_that_begins_with_its_decimal_mark_has_no_thousands(texts, style):
    parsed = parse_column(words(*texts))
    assert (parsed.kind, parsed.style) == ("numeric", style)


HUNDRED = [str(v) for v in range(100)] * 3


@pytest.mark.parametrize(
    "texts",
    [
        (*HUNDRED, *["always", "never"] * 9), (*HUNDRED, *["Online", "Phone", "Mail"] * 30),
        (*HUNDRED, *[">100"] * 12), (*HUNDRED, *["90+"] * 12),
        (*HUNDRED, *(f"{v}A" for v in range(12))), (*HUNDRED, *(f"V{v}" for v in range(12))),
        (*HUNDRED, "12A", "14B", "7a"),
        (*(str(v) for v in range(1900, 2010)), "2010-11", "2011-12"),
        (*(f"555{v}" for v in range(1000, 1200)), *["555-1234"] * 5),
        (*["1", "2", "3"] * 30, *["unknown", "other"] * 5), (*["18-25", "26-35"] * 20, "36-45"),
    ],
)  # fmt: skip
def test_numbers_beside_codes_or_several_words_stay_words(texts):
    parsed = parse_column(words(*texts))
    assert (parsed.kind, parsed.values.tolist()) == ("words", list(texts))


def test_one_word_in_many_rows_is_told_by_being_missing():
    parsed = parse_column(words(*HUNDRED, *["never"] * 90))
    assert (parsed.kind, np.isnan(parsed.values).sum()) == ("numeric", 90)
    again = parse_as(words("never", "7"), "numeric", parsed.style, "x")
    np.testing.assert_array_equal(again, [np.nan, 7])
    with pytest.raises(TableError, match="'x' should be numbers, got 'always' in row 2"):
        parse_as(words("7", "always"), "numeric", parsed.style, "x")


THINGS = "".join(f"thing {i},{i % 5},{i % 3}\n" for i in range(10))


@pytest.mark.parametrize(
    "last",
    [
        "\nBerlin\n", "a longer name than all of the others have\n", "*NSYNC,3\n",
        "\n*NSYNC,3,1\n", "Source: water,3\n", "Total,7,2\n",
    ],
)  # fmt: skip
def test_a_last_row_that_may_be_one_stays(tmp_path, last):
    table = read(tmp_path, f"name,size,grade\n{THINGS}{last}")
    assert table.n_rows == 11
    assert not any("below" in note for note in table.notes)


def test_rows_stay_where_all_begin_as_notes_do_or_have_one_value(tmp_path):
    rows = "".join(f"* thing {i},{i % 5},{i % 3}\n" for i in range(10))
    assert read(tmp_path, f"name,size,grade\n{rows}* thing\n").n_rows == 11
    table = read(tmp_path, "text;grade;size\n" + "a whole sentence\n" * 9)
    assert table.n_rows == 9


@pytest.mark.parametrize(
    ("name", "values", "task"),
    [
        ("price_range", [0, 1, 2, 3], "classification"),
        ("price_range", [200, 250, 310, 420], "regression"),
        ("range", [*range(80, 440, 30)], "regression"),
    ],
)
def test_a_range_is_classes_where_they_are_numbered(tmp_path, name, values, task):
    rows = "".join(f"{i % 7},{v}\n" for i, v in enumerate(values * 9))
    assert make_problem(read(tmp_path, f"size,{name}\n{rows}")).target.task == task


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (("1.2.10", "1.2.11", "1.2.12", "1.3.10", "1.4.10", "2.0.10"), "words"),
        (("1.2.10", "1.2.11", "1.3.10", "1.4.12", "2.1.10", "2.1.12"), "words"),
        (("1.1.10", "1.2.10", "1.3.10", "1.4.10", "1.5.10", "1.6.10"), "datetime"),
        (("1.1.10", "1.1.11", "1.1.12", "1.1.13", "1.1.14", "1.1.15"), "datetime"),
        (("1.2.10", "13.2.11", "5.6.12", "7.8.10", "9.9.11", "2.3.12"), "datetime"),
        (("1.2.10", "1.12.11", "5.6.12", "7.8.10", "9.9.11", "2.3.12"), "datetime"),
        (("01.02.10", "01.03.11", "05.06.12", "07.08.10", "09.09.11", "02.03.12"), "datetime"),
        (("1.2.2010", "1.3.2011", "5.6.2012", "7.8.2010", "9.9.2011", "2.3.2012"), "datetime"),
    ],
)
def test_versions_are_no_dates(texts, kind):
    """Nor are days of few months, which have months or days of two digits."""
    assert parse_column(np.array(texts * 4, dtype=object)).kind == kind


@pytest.mark.parametrize(
    ("texts", "expected", "notes"),
    [
        (
            ("16:38.3", "58.21", "2:05", "59", "1:02.45"),
            [998.3, 58.21, 125, 59, 62.45],
            ("times, such as '16:38.3', in seconds; 2 values are seconds alone",),
        ),
        (("1:02.45", "2:05", "1:59.5"), [62.45, 125, 119.5], None),
        (("1:02:45.5", "59:10.2", "58:00.1"), [3765.5, 3550.2, 3480.1], None),
        ((*(f"{v / 4}" for v in range(200, 239)), "1:00.25"), None, None),
    ],
)
def test_laps_and_seconds_are_one_column_of_seconds(texts, expected, notes):
    parsed = parse_column(words(*texts))
    expected = [*(v / 4 for v in range(200, 239)), 60.25] if expected is None else expected
    assert parsed.kind == "numeric"
    np.testing.assert_allclose(parsed.values, expected, rtol=1e-12)
    assert notes is None or parsed.notes == notes
    check_style(parsed.style)
    for text, value in zip(texts, expected, strict=True):  # alone, in prediction
        assert parse_as(words(text), "numeric", parsed.style, "x")[0] == pytest.approx(value)


@pytest.mark.parametrize(
    "texts",
    [("16:38.3", "75.3", "58.2"), ("16:38.3", "58.2", "a12"), ("12:30", "58", "13:15")],
)
def test_what_may_be_no_laps_stays_words(texts):
    assert parse_column(words(*texts * 9)).kind == "words"


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (("10-3-15", "8-5-12", "12-4-13", "9-2-11", "7-7-12"), "words"),
        (("10-3-15", "4-4-2", "12-4-11"), "words"),
        (("20-3-15", "13-5-20", "16-4-18"), "words"),  # of 38 games
        (("10-3-15",), "words"),
        (("20-3-15", "8-5-12", "12-4-11"), "datetime"),
        (("3-20-15", "8-5-12", "12-4-11"), "datetime"),
        (("3-1-15", "3-2-15", "3-3-15"), "words"),  # too few to be in order
        (tuple(f"3-{i}-15" for i in range(1, 8)), "datetime"),
        (tuple(f"3-{i}-15" for i in range(7, 0, -1)), "datetime"),
        (("10-03-15", "08-05-12", "12-04-11"), "datetime"),
        (("10-3-2015", "8-5-2012", "12-4-2011"), "datetime"),
        (("10/3/15", "8/5/12", "12/4/11"), "datetime"),
    ],
)
def test_results_such_as_10_3_15_are_no_dates(texts, kind):
    """Days are: one is above 12, they are in order, or written with zeros or four digits."""
    parsed = parse_column(words(*texts))
    assert parsed.kind == kind
    told = f"{len(texts)} values such as '{texts[0]}' stay words: "
    assert any(told in note for note in parsed.notes) == (kind == "words" and "4-4-2" not in texts)
