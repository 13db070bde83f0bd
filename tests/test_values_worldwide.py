# ruff: noqa: RUF001
"""Numbers, dates, durations and gaps as other scripts, languages and machines write them."""

import datetime as dt

import numpy as np
import pytest
from texts import words

from xpnn.tables.problem import make_problem
from xpnn.tables.read import Table
from xpnn.tables.values import parse_as, parse_column


def seconds(hours=0, minutes=0, rest=0.0):
    return 3600 * hours + 60 * minutes + rest


DAY = 86400.0


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("٧٢٣", "٥"), [723, 5]),
        (("۱۲٫۵", "۸٬۰۰۰"), [12.5, 8000]),
        (("８５", "１．５"), [85, 1.5]),
        (("½", "3½", "2"), [0.5, 3.5, 2]),
        (("1 year", "3 years", "2 Years"), [1, 3, 2]),
        (("1 hr", "5 hrs"), [1, 5]),
        (("12 kg", "13 KG", "14 Kg."), [12, 13, 14]),
        (("12 kg", "13", "15 kg"), [12, 13, 15]),
        (("803 sq. ft.", "1,200 sq. ft."), [803, 1200]),
        (("30 per month", "7 per month"), [30, 7]),
        (("5 Stück", "7 Stück"), [5, 7]),
        (("300 руб.", "7 руб."), [300, 7]),
        (("50元", "7元"), [50, 7]),
        (("45 Lac", "1.2 Cr"), [4.5e6, 1.2e7]),
        (("1 million", "2.5 billion"), [1e6, 2.5e9]),
        (("59 MB", "1.5 GB"), [59e6, 1.5e9]),
        (("3万", "2亿"), [3e4, 2e8]),
    ],
)
def test_numbers_of_other_scripts_and_with_units(texts, expected):
    parsed = parse_column(words(*texts))
    assert (parsed.kind, parsed.values.tolist()) == ("numeric", expected)
    for text, value in zip(texts, expected, strict=True):  # alone, in prediction
        assert parse_as(words(text), "numeric", parsed.style, "x").tolist() == [value]


@pytest.mark.parametrize(
    "texts",
    [
        ("12A", "13", "14B"), ("12A", "13A", "14"), ("36A", "36B"), ("1 ms", "2 m"),
        ("1 mW", "2 MW"), ("12 Main St", "9 Oak Ave"), ("1/2", "3/4"), ("Feb 22", "Jul 21"),
        ("5 kg", "5 m", "5 apples"),
    ],
)  # fmt: skip
def test_what_has_several_units_stays_words(texts):
    parsed = parse_column(words(*texts))
    assert (parsed.kind, parsed.values.tolist()) == ("words", list(texts))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("2h 50m", "19h", "45m"), [seconds(2, 50), seconds(19), seconds(0, 45)]),
        (("1 hr 20 min", "40 mins."), [seconds(1, 20), seconds(0, 40)]),
        (("18h20", "9h05"), [seconds(18, 20), seconds(9, 5)]),
        (("6pm", "9 a.m.", "12am"), [seconds(18), seconds(9), 0]),
        (("PT2H50M", "P1DT1.5S"), [seconds(2, 50), DAY + 1.5]),
        (("1:23.456", "59:00.5"), [83.456, 3540.5]),
        (("1 year", "2 weeks", "3 days"), [365.25 * DAY, 14 * DAY, 3 * DAY]),
        (("3 weeks and 2 days", "1 week"), [23 * DAY, 7 * DAY]),
        (("2 Tage", "1 Woche", "3 Jahre"), [2 * DAY, 7 * DAY, 3 * 365.25 * DAY]),
        (("1W", "2D", "3M"), [7 * DAY, 2 * DAY, 3 * 365.25 / 12 * DAY]),
    ],
)
def test_durations_as_people_and_machines_write_them(texts, expected):
    parsed = parse_column(words(*texts))
    form = "lap" if "59:00.5" in texts else "time"
    assert (parsed.kind, parsed.style) == ("numeric", {"form": form})
    np.testing.assert_allclose(parsed.values, expected, rtol=1e-12)
    assert parsed.notes == (f"times, such as {texts[0]!r}, in seconds",)


MOMENT = dt.datetime(2022, 2, 4, 18, 20, 14)
AN_HOUR_EARLIER = MOMENT - dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022-02-04 18:20:14 CET", AN_HOUR_EARLIER),
        ("Feb 04 2022 13:20:14 EST", MOMENT),
        ("Fri Feb  4 18:20:14 2022", MOMENT),
        ("Fri Feb 04 18:20:14 +0000 2022", MOMENT),
        ("Fri Feb 04 2022 18:20:14 GMT+0100 (CET)", AN_HOUR_EARLIER),
        ("04/Feb/2022:18:20:14 +0100", AN_HOUR_EARLIER),
        ("04-FEB-22 06.20.14.000000 PM", MOMENT),
        ("20220204T182014Z", MOMENT),
        ("04.02.2022 18:20:14 Uhr", MOMENT),
        ("04.02.2022.", dt.datetime(2022, 2, 4)),
        ("2022. 02. 04.", dt.datetime(2022, 2, 4)),
        ("4 de febrero de 2022", dt.datetime(2022, 2, 4)),
        ("04/fev/2022", dt.datetime(2022, 2, 4)),
        ("4 mei 2022", dt.datetime(2022, 5, 4)),
        ("4 października 2022", dt.datetime(2022, 10, 4)),
        ("4 июля 2022", dt.datetime(2022, 7, 4)),
        ("2022年2月4日", dt.datetime(2022, 2, 4)),
        ("2022년 2월 4일", dt.datetime(2022, 2, 4)),
        ("٢٠٢٢/٠٢/٠٤", dt.datetime(2022, 2, 4)),
        ("Q3'21", dt.datetime(2021, 7, 1)),
    ],
)
def test_dates_of_languages_logs_and_databases(text, expected):
    parsed = parse_column(words(text, text, None))
    assert parsed.kind == "datetime"
    assert parsed.values[0] == np.datetime64(expected, "us")
    assert np.isnat(parsed.values[2])
    assert parse_as(words(text), "datetime", parsed.style, "x") == parsed.values[:1]


@pytest.mark.parametrize("digits", [8, 12, 14])
def test_dates_of_digits_alone_may_have_a_time(digits):
    texts = [f"202202{day:02d}182014"[:digits] for day in (4, 5, 6)]
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[digits]
    expected = [np.datetime64(dt.datetime.strptime(t, form), "us") for t in texts]
    for column in (words(*texts), np.array(texts, dtype=float)):
        parsed = parse_column(column)
        assert parsed.values.tolist() == np.array(expected).tolist()
        again = parse_as(column[:1], "datetime", parsed.style, "x")
        assert again.tolist() == parsed.values[:1].tolist()
    assert (
        parse_column(words("20220204182099", "20220204182098", "20220204182097")).kind == "numeric"
    )


def test_dates_that_databases_write_for_none_are_gaps():
    column = words("2022-02-04", "0000-00-00", "9999-12-31", "2022-02-05", "0001-01-01")
    parsed = parse_column(column)
    assert np.isnat(parsed.values).tolist() == [False, True, True, False, True]
    assert parsed.notes[0].startswith("3 of 5 values are no dates ('0000-00-00', '0001-01-01'")


@pytest.mark.parametrize(
    ("codes", "rest"),
    [
        ([-999.0, -888.0], (0.0, 90.0)),
        ([777.0, 888.0, 999.0], (1.0, 10.0)),
        ([-3.4028234663852886e38], (0.0, 90.0)),
        ([9.969209968386869e36], (-5.0, 5.0)),
        ([1e20], (-5.0, 5.0)),
    ],
)
def test_several_codes_and_the_fill_values_of_rasters_count_as_missing(codes, rest):
    values = np.array([*np.linspace(*rest, 20), *codes, *codes])
    parsed = parse_column(values)
    np.testing.assert_array_equal(np.isnan(parsed.values), np.arange(len(values)) >= 20)
    assert len(parsed.notes) == len(codes)
    assert np.isnan(parse_as(np.array(codes), "numeric", parsed.style, "x")).all()


def test_a_quantity_of_many_magnitudes_has_no_fill_value():
    values = np.repeat(10.0 ** np.arange(0, 30, 3), 2)
    assert parse_column(values).notes == ()


def test_a_column_that_is_left_out_shows_one_of_its_values():
    texts = words(*(f'="{i}"' + "x" * 90 for i in range(30)))
    table = Table("t", {"code": texts, "x": np.arange(30.0) % 7, "y": np.arange(30.0) % 2})
    told = make_problem(table).notices[0]
    assert told.startswith("left out 'code': 30 different texts, such as '=\"0\"xxx")
    assert told.endswith("x…' (an id?)")
