"""A bar while a long file is read: on a terminal alone, and not before a second."""

import gzip
import io
import sys

import numpy as np

from xpnn import TabularRegressor
from xpnn.tables import progress, read_table
from xpnn.tables.delimited import read_delimited

TEXT = "size,town\n" + "".join(f"{i},Ulm\n" for i in range(50))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def watched(monkeypatch, stream):
    """The stream as standard error; in the test itself, as pytest sets its own before each."""
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_what_takes_long_has_a_bar(monkeypatch, tmp_path):
    shown = watched(monkeypatch, Terminal())
    monkeypatch.setattr(progress, "DELAY", 0.0)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert read_table(tmp_path / "t.csv.gz").n_rows == 50
    assert "unpacking t.csv.gz: " in shown.getvalue()
    assert "columns of t: " in shown.getvalue()
    read_delimited(TEXT, "t.csv", arrow=False)  # by the standard library, a row at a time
    assert "reading t.csv: " in shown.getvalue()


def test_what_is_quick_has_none(monkeypatch, tmp_path):
    shown = watched(monkeypatch, Terminal())
    (tmp_path / "t.csv").write_text(TEXT)
    read_table(tmp_path / "t.csv")
    assert shown.getvalue() == ""


def test_nobody_is_told_where_nobody_looks(monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    shown = watched(monkeypatch, io.StringIO())
    (tmp_path / "t.csv").write_text(TEXT)
    read_table(tmp_path / "t.csv")
    assert shown.getvalue() == ""


def test_importances_that_take_long_have_a_bar(monkeypatch):
    shown = watched(monkeypatch, Terminal())
    monkeypatch.setattr(progress, "DELAY", 0.0)
    x = np.random.default_rng(0).normal(size=(60, 3))
    model = TabularRegressor(hidden=8, epochs=2, random_state=0).fit(x, x[:, 0])
    model.feature_importance()
    assert shown.getvalue() == ""
    model.set_params(verbose=True).feature_importance()
    assert "importances: " in shown.getvalue()
