"""What the command refuses, in a line each, and what it leaves as it was."""

from pathlib import Path

import pytest
from commands import QUICK, call, refused

import xpnn
from xpnn.command import train as run
from xpnn.files.record import MODEL

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("iris", "--device", "cupyy"), "unknown device 'cupyy'"),
        (("iris", "--embedding", "waves"), "unknown embedding 'waves'"),
        (("iris", "--loss", "huber"), "--loss huber is for a regression"),
        (("diabetes", "--loss", "cross_entropy"), "--loss cross_entropy is for classes"),
        (("iris", "--quantiles", "0.5"), "--quantiles 0.5 is for a regression"),
        (("diabetes", "--loss", "hubber"), "unknown loss 'hubber'; did you mean 'huber'?"),
        (("iris", "--hidden", "12,x"), "--hidden takes sizes of layers up to 10000 such as"),
        (("iris", "--hidden", "0"), "got '0'"),
        (("iris", "--hidden", "100000,100000"), "got '100000,100000'"),
        (("iris", "--hidden", ""), "got ''"),
        (("iris", "--class-weight", "even"), "--class-weight takes none or balanced, got 'even'"),
        (("diabetes", "--class-weight", "balanced"), "--class-weight is for classes"),
        (("iris", "--time-limit", "nan"), "--time-limit must be above 0"),
        (("iris", "--test", "iris", "--group", "a"), "give one"),
        (("iris", "--test-size", "0"), "--test-size must be above 0 and below 0.9, got 0"),
        (("iris", "--dtype", "float16"), "--dtype takes float32 or float64, got 'float16'"),
        (("iris", "--task", "clustering"), "--task takes classification or regression"),
    ],
)
def test_a_wrong_option_is_a_usage_error(args, message):
    assert message in refused("train", *args, code=2)
    assert not Path("xpnn-out").exists()


@pytest.mark.parametrize("args", [(), ("iris", "--epochs", "0"), ("iris", "--seed", "x"), ("-z",)])
def test_what_typer_refuses_is_a_usage_error_too(args):
    result = call("train", *args, code=2)
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("content", "args", "message"),
    [
        (None, (), "There is no file t.csv"),
        ("", (), "t.csv is empty"),
        ("a,b\n1,2,3\n", (), "t.csv, line 2: 3 values under 2 columns"),
        ("size,price\n1,2\n", ("--target", "prize"), "no column 'prize'; did you mean 'price'?"),
        ("a,b\n1,x\n2,y\n", ("--task", "regression"), "'b' is not numeric ('x' in row 1)"),
        ("a,b\n1,.5\n2,1.5\n", (), "A table of 2 rows is too small"),
        ("a,b\n.5,2024-01-01\n1.5,2024-01-02\n", (), "The target 'b' holds dates"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(content, args, message):
    if content is not None:
        Path("t.csv").write_text(content)
    assert message in refused("train", "t.csv", *args, code=1)


def test_a_column_that_is_not_there_is_told_with_what_reading_decided():
    Path("t.csv").write_text("".join(f"{i}.5,{'ab'[i % 2]},{i * i}.25\n" for i in range(20)))
    why = "no names in the first line (0.5, a, 0.25)"
    for args in (("--target", "price"), ("--drop", "price"), ("--group", "price")):
        told = refused("train", "t.csv", *args, code=1)
        assert "t has no column 'price'" in told
        assert why in told
    call("train", "iris", *QUICK, "-q", "--out", "o")
    for args in (("predict", "o", "t.csv"), ("explain", "o", "t.csv")):
        assert why in refused(*args, code=1)


def test_a_folder_without_a_model_is_told_with_those_below_it():
    call("train", "iris", *QUICK, "-q", "--out", "all/iris")
    for args in (("predict", "all", "iris"), ("explain", "all")):
        told = refused(*args, code=1)
        assert told.endswith(f"No such file or directory. There are {Path('all', 'iris')}.")
    assert refused("predict", "none", "iris", code=1).endswith("xpnn train writes one.")


def test_a_folder_that_cannot_be_made_is_one_line():
    Path("file").touch()
    assert "file" in refused("train", "iris", *QUICK, "--out", "file/o", code=1)


def test_a_failed_run_leaves_the_old_model():
    call("train", "diabetes", *QUICK, "-q")
    before = Path("xpnn-out/diabetes", run.MODEL).read_bytes()
    refused("train", "diabetes", *QUICK, "-q", "--target", "agee", code=1)
    assert Path("xpnn-out/diabetes", run.MODEL).read_bytes() == before


def test_a_bad_model_is_refused_in_one_line():
    call("train", "iris", *QUICK, "-q", "--out", "o")
    whole = Path("o", run.MODEL).read_bytes()
    assert "No such file" in refused("predict", "none", "iris", code=1)
    assert "wine lacks the column" in refused("predict", "o", "wine", code=1)
    assert "did you mean 'iris'" in refused("predict", "o", "irish", code=1)
    assert "unknown device" in refused("predict", "o", "iris", "--device", "abacus", code=2)
    Path("m").write_bytes(whole[:-9])
    assert refused("predict", "m", "iris", code=1).startswith("m is")
    Path("m").write_bytes(whole[:-9] + b"\x00" * 9)
    assert refused("predict", "m", "iris", code=1) == "m is damaged: its checksum is wrong."
    Path("m").write_bytes(whole.replace(b'"version":"%d"' % MODEL.version, b'"version":"9"'))
    told = f"version 9 of xpnn {xpnn.__version__}, this xpnn reads up to {MODEL.version}; upgrade"
    assert told in refused("predict", "m", "iris", code=1)
    call("train", "diabetes", *QUICK, "-q", "--out", "r")
    assert "--proba is for classification" in refused("predict", "r", "diabetes", "--proba", code=2)
