"""Numbers, gaps, dates and words out of text: the same rules in training and prediction."""

import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import words

from xpnn.tables import TableError
from xpnn.tables.gaps import GAPS, NUMBER_GAPS
from xpnn.tables.values import parse_as, parse_column


def numbers(*texts):
    parsed = parse_column(words(*texts))
    assert parsed.kind == "numeric", parsed
    return parsed.values.tolist()


# -- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("$1,172", "$950", "-$3.50"), [1172, 950, -3.5]),
        (("€ 1.234,50", "7 €"), [1234.5, 7]),
        (("£5", "¥1,000", "EUR 3", "4 USD", "R$ 2.50"), [5, 1000, 3, 4, 2.5]),
        (("CHF 1'234.50", "CHF 1\u2019000"), [1234.5, 1000]),
        (("45%", "3.5 %", "-7%"), [45, 3.5, -7]),
        (("1,234,567", "950"), [1234567, 950]),
        (("1.234.567", "950"), [1234567, 950]),
        (("1 234 567", "1\u00a0234", "1\u202f234,5"), [1234567, 1234, 1234.5]),
        (("12,34,567", "1,00,000"), [1234567, 100000]),
        (("444,728", "1,359,470"), [444728, 1359470]),
        (("444,728", "950", "12,100"), [444728, 950, 12100]),
        (("11,72", "0,740", "3"), [11.72, 0.74, 3]),
        (("0,740", "0,125"), [0.74, 0.125]),
        (("12,345", "12345"), [12.345, 12345]),
        (
            (*(f"{v},345" for v in range(1, 30)), "4478"),
            [*range(1345, 30345, 1000), 4478],
        ),  # a slip
        (("€1.234", "€15.300", "€2.500"), [1234, 15300, 2500]),
        (("1.234", "15.300"), [1.234, 15.3]),
        (("(1,234)", "(5.25)", "7"), [-1234, -5.25, 7]),
        (("($5)", "$7"), [-5, 7]),
        (("12 kg", "3.5 kg", "7kg"), [12, 3.5, 7]),
        (("+5", "6e3", "\u22127", ".5", "5."), [5, 6000, -7, 0.5, 5]),
        (("true", "FALSE", "True"), [1, 0, 1]),
        ((" 1 ", "\t2", ""), [1, 2, math.nan]),
    ],
)
def test_numbers_as_people_write_them(texts, expected):
    np.testing.assert_array_equal(numbers(*texts), expected)


@pytest.mark.parametrize(
    "texts",
    [
        ("B12", "A1"), ("10-20", "20-30"), ("3+", "1", "2"), ("192.168.1.1", "10.0.0.1"),
        ("555-1234", "555-1235"), ("1_000", "2_000"), ("12 kg", "3 lb"), ("0x10", "0x11"),
        ("S", "M"), ("1,2,3", "4,5"), ("low", "3", "high"), ("none", "unknown"), ("Mon", "Tue"),
        ("$", "$"), ("1st", "2nd"), ("0, x", "1, x"),
    ],
)  # fmt: skip
def test_what_only_looks_like_numbers_stays_words(texts):
    parsed = parse_column(words(*texts))
    assert (parsed.kind, parsed.values.tolist()) == ("words", list(texts))


STYLES = [
    *(("plain", decimal, "", "", "") for decimal in ".,"),
    *((str(mark), decimal, mark, "", "") for decimal, mark in (".,", ". ", ".'", ",.", ", ", ",'")),
    ("dollars", ".", ",", "$", ""),
    ("euros", ",", ".", "", " €"),
    ("percent", ".", "", "", "%"),
    ("unit", ".", "", "", " kWh"),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("decimal", "mark", "before", "after"), [s[1:] for s in STYLES], ids=[s[0] for s in STYLES]
)
@given(
    values=st.lists(
        st.decimals(-10_000_000, 10_000_000, places=2, allow_nan=False).filter(
            lambda v: len(set(str(abs(v)).replace(".", ""))) > 1 or not v  # no sentinel
        ),
        min_size=1,
        max_size=20,
    )
)
def test_numbers_in_any_style_read_back_equal(decimal, mark, before, after, values):
    def write(value):
        text = f"{abs(value):,.2f}".replace(",", "~").replace(".", decimal).replace("~", mark)
        return ("-" if value < 0 else "") + before + text + after

    texts = words(*map(write, values))
    parsed = parse_column(texts)
    assert parsed.kind == "numeric"
    np.testing.assert_array_equal(parsed.values, [float(v) for v in values])
    for i in range(len(values)):  # and alone, in prediction, with what was found in training
        alone = parse_as(texts[i : i + 1], parsed.kind, parsed.style, "x")
        assert alone[0] == parsed.values[i]


def test_the_style_of_training_reads_what_alone_is_ambiguous():
    style = parse_column(words("1,5", "2,25")).style
    assert parse_as(words("1,234"), "numeric", style, "x").tolist() == [1.234]
    style = parse_column(words("1,500", "2,250")).style
    assert parse_as(words("1,234"), "numeric", style, "x").tolist() == [1234]
    assert parse_column(words("1,234"), decimal=",").values.tolist() == [1.234]
    assert parse_column(words("1.234"), decimal=",").values.tolist() == [1234]


def test_how_numbers_were_read_is_told():
    told = parse_column(words("$1,172", "$950")).notes
    assert told == ("numbers written with '$' and thousands separators",)
    assert parse_column(words("1,5", "2")).notes == ("numbers written with a decimal comma",)
    assert parse_column(words("(1.5)", "2")).notes == ("numbers written with '()'",)
    assert parse_column(words("1.5", "2")).notes == ()


# -- gaps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gap",
    [
        *(
            "",
            "NA",
            "N/A",
            "n.a.",
            "?",
            "nan",
            "NULL",
            "(null)",
            "<NA>",
            "\\N",
            "#DIV/0!",
            "#VALUE!",
        ),
        *("None", "-", "--", ".", "*", "missing", "Unknown", "inf", "-inf"),
    ],
)
def test_gaps_among_numbers(gap):
    parsed = parse_column(words("1.5", gap, "2", gap, "4"))
    np.testing.assert_array_equal(parsed.values, [1.5, math.nan, 2, math.nan, 4])
    told = f"2 of 5 values are no numbers ({gap!r}) and count as missing"
    assert parsed.notes == ((told,) if gap else ())
    again = parse_as(words(gap, "3"), parsed.kind, parsed.style, "x")
    np.testing.assert_array_equal(again, [math.nan, 3])
    alone = parse_as(words(gap), parsed.kind, parsed.style, "x")
    np.testing.assert_array_equal(alone, [math.nan])


def test_gaps_among_dates_and_words():
    dates = parse_column(words("2020-01-01", "-", "NA"))
    assert np.isnat(dates.values).tolist() == [False, True, True]
    assert dates.notes[0] == "2 of 3 values are no dates ('-', 'NA') and count as missing"
    kept = parse_column(words("none", "-", "NA", "", "red"))
    assert kept.values.tolist() == ["none", "-", None, None, "red"]
    assert kept.notes == ("1 of 5 values are gaps ('NA') and count as missing",)
    assert {"none", "-", "."} <= NUMBER_GAPS - GAPS


def test_a_few_stray_words_among_numbers_are_gaps_and_told():
    column = words(*(["7", "8.5"] * 400), "unknown yet", "unknown yet", "error")
    parsed = parse_column(column)
    assert parsed.kind == "numeric"
    assert parsed.notes == (
        "3 of 803 values are no numbers ('error', 'unknown yet') and count as missing",
    )
    assert np.isnan(parse_as(words("Error"), "numeric", parsed.style, "x")).all()
    with pytest.raises(TableError, match="'x' should be numbers, got 'oops' in row 2; correct it"):
        parse_as(words("1", "oops"), "numeric", parsed.style, "x")
    many = parse_column(words(*(["7", "8"] * 9), "high", "low"))
    assert many.kind == "words"  # a tenth
    assert parse_column(words(*(["0", "1", "2"] * 20), "3+", "3+")).kind == "words"  # a class


def test_infinite_numbers_count_as_missing():
    parsed = parse_column(np.array([1.0, math.inf, 2.0]))
    np.testing.assert_array_equal(parsed.values, [1, math.nan, 2])
    assert parsed.notes == ("1 of 3 values are infinite and count as missing",)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    ("rest", "sentinel"), [((300, 7000), -9999), ((-40, 55), -999), ((0, 90), 9999), ((0, 9), 99)]
)
def test_a_sentinel_counts_as_missing_and_is_told(rest, sentinel, text):
    values = [*np.linspace(*rest, 20).tolist(), sentinel, sentinel, sentinel]
    column = words(*(f"{v:g}" for v in values)) if text else np.array(values)
    parsed = parse_column(column)
    assert np.isnan(parsed.values[-3:]).all()
    assert not np.isnan(parsed.values[:-3]).any()
    told = f"{sentinel} stands in 3 of 23 values, far from the others, and counts as missing"
    assert parsed.notes == (told,)
    new = parse_as(np.array([sentinel, 5.0]), "numeric", parsed.style, "x")
    np.testing.assert_array_equal(new, [math.nan, 5])


def test_what_may_be_a_number_is_no_sentinel():
    assert parse_column(np.array([1.0, 50.0, 99.0, 99.0])).notes == ()
    assert parse_column(np.array([9000.0, 9998.0, 9999.0, 9999.0])).notes == ()
    once = parse_column(np.array([*range(1, 11), -9999.0]))
    assert once.values[-1] == -9999
    assert once.notes == (
        "-9999 stands in 1 of 11 values, far from the others; if it is a gap, say --na -9999",
    )


# -- times --------------------------------------------------------------------------------------


def day(*parts):
    return np.datetime64(dt.datetime(*parts), "us")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("2020-01-31", "2020/2/1", "2020.03.01"), [(2020, 1, 31), (2020, 2, 1), (2020, 3, 1)]),
        (("2020-01-31 12:30:15", "2020-01-31T01:02"),
         [(2020, 1, 31, 12, 30, 15), (2020, 1, 31, 1, 2)]),
        (("2020-01-31T12:00:00Z", "2020-01-31T12:00:00.5+02:00", "2020-01-31 12:00:00-0500"),
         [(2020, 1, 31, 12), (2020, 1, 31, 10, 0, 0, 500000), (2020, 1, 31, 17)]),
        (("13/2/2024", "1/2/2024"), [(2024, 2, 13), (2024, 2, 1)]),
        (("2/13/2024", "1/2/2024 4:30 PM"), [(2024, 2, 13), (2024, 1, 2, 16, 30)]),
        (("31.12.1999", "1.1.00"), [(1999, 12, 31), (2000, 1, 1)]),
        (("01-02-24", "03-02-24", "13-02-24"), [(2024, 2, 1), (2024, 2, 3), (2024, 2, 13)]),
        (("1/2/2024", "2/2/2024", "3/2/2024"), [(2024, 2, 1), (2024, 2, 2), (2024, 2, 3)]),
        (("1 Jan 2020", "2 February 2020", "3-Mar-20"), [(2020, 1, 1), (2020, 2, 2), (2020, 3, 3)]),
        (("Jan 1, 2020", "March 7 2021"), [(2020, 1, 1), (2021, 3, 7)]),
        (("Fri, 03 May 2024 10:00", "Saturday 4 May 2024"), [(2024, 5, 3, 10), (2024, 5, 4)]),
        (("3. Mai 2024", "1. Dezember 2024"), [(2024, 5, 3), (2024, 12, 1)]),
        (("2020-01", "2020-12"), [(2020, 1, 1), (2020, 12, 1)]),
        (("Jan 2020", "Dec 2020"), [(2020, 1, 1), (2020, 12, 1)]),
        (("Jan-20", "Dec-99"), [(2020, 1, 1), (1999, 12, 1)]),
        (("01/2020", "12/2020"), [(2020, 1, 1), (2020, 12, 1)]),
        (("2020Q1", "2020-Q3", "Q4 2020"), [(2020, 1, 1), (2020, 7, 1), (2020, 10, 1)]),
    ],
)  # fmt: skip
def test_dates_as_people_write_them(texts, expected):
    parsed = parse_column(words(*texts))
    assert parsed.kind == "datetime"
    assert parsed.values.dtype == "datetime64[us]"
    np.testing.assert_array_equal(parsed.values, [day(*e) for e in expected])
    for text, value in zip(texts, parsed.values, strict=True):
        assert parse_as(words(text), "datetime", parsed.style, "x")[0] == value


@pytest.mark.parametrize("text", [False, True])
def test_whole_numbers_that_are_all_dates_are_dates(text):
    values = [20240131.0, 20240229.0, 19991231.0]
    column = words("20240131", "20240229", "19991231", "-") if text else np.array(values)
    parsed = parse_column(column)
    assert parsed.values[:3].tolist() == [day(2024, 1, 31).item(), day(2024, 2, 29).item(),
                                          day(1999, 12, 31).item()]  # fmt: skip
    assert parsed.notes[-1] == "dates, such as 20240131, read as year, month and day"
    for new in (words("20250101"), np.array([20250101.0]), np.array([20250101])):
        assert parse_as(new, parsed.kind, parsed.style, "x")[0] == day(2025, 1, 1)
    assert parse_column(np.array([20240131.0, 20240230.0, 20240101.0])).kind == "numeric"
    assert parse_column(np.array([20240131.0, 20240131.0])).kind == "numeric"
    assert parse_column(np.array([20240131.5, 20240101.0, 20240102.0])).kind == "numeric"


def test_the_order_of_day_and_month_is_told():
    assert parse_column(words("13/2/2024", "1/2/2024")).notes == (
        "dates, such as '13/2/2024' read as day/month/year",
    )
    assert parse_column(words("1/2/2024", "1/2/2024")).notes == (
        "dates, such as '1/2/2024' read as month/day/year, which nothing in them tells; "
        "if it is wrong, write 2024-05-31",
    )


@pytest.mark.parametrize(
    "texts", [("30 Foo 2020", "x"), ("2020-13-01", "2020-02-30"), ("1/2", "3/4")]
)
def test_what_only_looks_like_dates_stays_words(texts):
    assert parse_column(words(*texts)).kind == "words"


@given(st.lists(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), min_size=1))
def test_iso_dates_read_back_equal(moments):
    parsed = parse_column(words(*(m.isoformat() for m in moments)))
    assert parsed.kind == "datetime"
    np.testing.assert_array_equal(parsed.values, np.array(moments, dtype="M8[us]"))


@given(st.lists(st.dates(dt.date(1971, 1, 1), dt.date(2068, 1, 1)), min_size=1), st.data())
def test_dates_of_one_form_read_back_equal(days, data):
    form = data.draw(st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%d %b %Y", "%B %d, %Y"]))
    anchor = dt.date(2001, 1, 31)  # tells day from month
    days = [anchor, *days]
    parsed = parse_column(words(*(d.strftime(form) for d in days)))
    np.testing.assert_array_equal(parsed.values, np.array(days, dtype="M8[us]"))


def test_times_of_day_and_durations_are_seconds():
    assert numbers("12:34", "00:00:01.5", "25:00") == [45240, 1.5, 90000]
    assert numbers("1:00 PM", "12:30 am") == [46800, 1800]
    assert numbers("2 days", "1 days 00:00:02", "-1 days +23:00:00") == [172800, 86402, -3600]
    parsed = parse_column(words("12:34", "13:00"))
    assert parsed.notes == ("times, such as '12:34', in seconds",)
    assert parse_as(words("0:01"), "numeric", parsed.style, "x").tolist() == [60]


# -- arrays of other types ----------------------------------------------------------------------


def test_typed_arrays_need_no_reading():
    assert parse_column(np.array([True, False])).values.tolist() == [1, 0]
    assert parse_column(np.array([3], dtype=np.int8)).values.dtype == np.float64
    days = parse_column(np.array(["2020-01-01", "NaT"], dtype="M8[D]"))
    assert (days.kind, days.values.dtype) == ("datetime", "datetime64[us]")
    spans = parse_column(np.array([90, "NaT"], dtype="m8[s]"))
    np.testing.assert_array_equal(spans.values, [90, math.nan])


def test_objects_of_frames_are_read_as_their_text():
    assert numbers(1, 2.5, True, None, math.nan)[:3] == [1, 2.5, 1]
    assert parse_column(words(dt.date(2020, 1, 1), None)).values[0] == day(2020, 1, 1)
    pd = pytest.importorskip("pandas")
    assert parse_column(words("a", pd.NA, b"b")).values.tolist() == ["a", None, "b"]
    with pytest.raises(TableError, match="values of type list"):
        parse_column(words([1], [2]))


def test_a_type_that_differs_in_prediction_does_no_harm():
    as_words = parse_as(np.array([1.0, 2.5, math.nan]), "words", {}, "x")
    assert as_words.tolist() == ["1", "2.5", None]
    assert parse_as(words("1", " 2"), "numeric", {}, "x").tolist() == [1, 2]
    assert parse_as(np.array([True]), "numeric", {}, "x").tolist() == [1]
    empty = parse_as(np.array([math.nan]), "datetime", {}, "x")
    assert empty.dtype == "datetime64[us]"
    assert np.isnat(empty).all()
    with pytest.raises(TableError, match="'x' should be dates, got '3' in row 2"):
        parse_as(np.array([math.nan, 3.0]), "datetime", {}, "x")
    with pytest.raises(TableError, match="'x' should be dates, got 'soon' in row 1"):
        parse_as(words("soon"), "datetime", {"order": "ymd"}, "x")


@given(st.lists(st.none() | st.text(max_size=6), max_size=30))
def test_any_text_is_read_and_reads_the_same_in_prediction(texts):
    column = words(*texts)
    parsed = parse_column(column)
    assert len(parsed.values) == len(texts)
    again = parse_as(column, parsed.kind, parsed.style, "x")
    np.testing.assert_array_equal(again, parsed.values)
