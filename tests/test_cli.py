"""The `xpnn` command, as a person meets it."""

import contextlib
import gzip
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from targets import TABLE
from typer.testing import CliRunner

import xpnn
from xpnn import cli
from xpnn.cli import app, reading
from xpnn.command import splits
from xpnn.command import train as run
from xpnn.files.record import MODEL
from xpnn.tables import read_table
from xpnn.tables.problem import make_problem

RUNNER = CliRunner()
QUICK = ("--hidden", "16", "--epochs", "4")
COMMAND = (sys.executable, "-c", "from xpnn.cli import main; main()")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XPNN_DEVICE", raising=False)


@pytest.fixture(autouse=True)
def _undrawn(request, monkeypatch):
    """No picture, which takes longer than a short training, but where one is looked at."""
    if request.node.get_closest_marker("draws") is None:
        monkeypatch.setattr(cli.train, "_draw", lambda path, *about: f"wrote   {path}")


def call(*args, code=0):
    result = RUNNER.invoke(app, [str(a) for a in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def refused(*args, code):
    """The one line on standard error."""
    result = call(*args, code=code)
    assert result.stderr.startswith("xpnn: error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    return result.stderr.removeprefix("xpnn: error: ").rstrip("\n")


def houses(path="houses.csv", n=120, seed=0, *, task="regression"):
    """Numbers, words, gaps; a price that follows from them."""
    rng = np.random.default_rng(seed)
    size, town = rng.uniform(40, 200, n), rng.choice(["Ulm", "Bonn", "Köln"], n)
    garden, price = rng.random(n) < 0.5, np.zeros(n)
    for i in range(n):
        price[i] = 3 * size[i] + 100 * (town[i] == "Bonn") + 50 * garden[i]
    gaps = rng.random(n) < 0.1
    lines = ["id,size,town,garden,price"]
    for i in range(n):
        known = "" if gaps[i] else f"{size[i]:.1f}"
        y = f"{price[i]:.2f}" if task == "regression" else ("dear" if price[i] > 400 else "cheap")
        lines.append(f"{i + 1},{known},{town[i]},{str(garden[i]).lower()},{y}")
    Path(path).write_text("\n".join(lines) + "\n")
    return path


# -- train --------------------------------------------------------------------------------------


@pytest.mark.draws
def test_train_leaves_a_model_a_history_and_a_picture():
    pytest.importorskip("matplotlib")
    result = call("train", "iris", "--epochs", "30", "--device", "numpy")
    folder = Path("xpnn-out/iris")
    assert {p.name for p in folder.iterdir()} == {run.MODEL, run.HISTORY, run.PICTURE}
    assert (folder / run.PICTURE).read_bytes().startswith(b"\x89PNG")
    out = result.stdout
    assert out.startswith(
        "device  numpy, float32\n"
        "data    iris: 150 rows, 4 columns; classification into 3 classes, target 'target'\n"
    )
    for line in (
        r"accuracy +\d+\.\d\d % +\d+\.\d\d % +33\.33 %",
        r"balanced accuracy .* %",
        r"log-loss .* 1\.099",
        r"true / predicted +setosa +versicolor +virginica",
        r"setosa +10 +\. +\.",
        r"rows    120 train, 30 test",
        r"epochs  30",
        r"time    \d+\.\d s",
        r"model   [\d,]+ parameters",
        rf"wrote   {folder / run.PICTURE}",
    ):
        assert re.search(f"(?m)^{line}$", out), line
    assert out.index("accuracy") < out.index("wrote")  # scores come before files
    assert "epoch 1/30: loss" in result.stderr
    history = json.loads((folder / run.HISTORY).read_text())
    assert history["options"]["source"] == "iris"
    assert history["target"] == "target"
    assert history["columns"] == list(read_table("iris").columns)[:-1]
    assert len(history["history"]["loss"]) == 30
    assert history["result"]["test"]["accuracy"] > 0.8
    assert set(history["importance"]) == set(history["columns"])


def test_quiet_says_nothing():
    result = call("train", "wine", *QUICK, "-q", "--out", "here")
    assert result.output == ""
    assert Path("here", run.MODEL).is_file()


def test_a_terminal_shows_a_live_bar(monkeypatch):
    pty = pytest.importorskip("pty", reason="a terminal needs a POSIX system")
    import fcntl
    import struct
    import termios

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    shown = []

    def read():
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(parent, 4096):
                shown.append(piece)

    reader = threading.Thread(target=read)  # a terminal takes little that nobody reads
    reader.start()
    with open(child, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        app(["train", "iris", *QUICK], standalone_mode=False)
    reader.join()
    os.close(parent)
    text = b"".join(shown).decode()
    assert re.search(r"100%\|█+\| 4/4 .*epoch/s, loss=\d", text)


def test_the_seed_decides_and_the_split_stays():
    outputs = []
    for seed in (0, 0, 1):
        call("train", "iris", *QUICK, "-q", "--seed", seed, "--out", "a")
        model = xpnn.load(Path("a", run.MODEL))
        outputs.append((model.oof_prediction_, model.encoding_))
    (a, p), (b, q), (c, r) = outputs
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert p == q == r  # the same training rows, so the same means


@pytest.mark.draws
def test_without_matplotlib_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = call("train", "iris", *QUICK).stdout
    assert "no learning_curve.png. Drawing needs matplotlib; get it with: python -m pip" in out
    assert Path("xpnn-out/iris", run.MODEL).is_file()


def test_digits_reaches_what_the_readme_says():
    problem = make_problem(read_table("digits"))
    rows = splits.split_evenly(problem.y, "classification", 0.2)
    _, report = run.train_on(problem, {"random_state": 0, "n_members": 2}, *rows)
    assert report.test["accuracy"] > 0.96


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_table_with_words_and_gaps_is_learnt(task):
    houses(task=task, n=400)
    result = call("train", "houses.csv", "--epochs", 60, "--hidden", "32")
    assert f"; {task}" in result.stdout
    assert "note    left out 'id': it numbers the rows" in result.stdout
    history = json.loads(Path("xpnn-out/houses", run.HISTORY).read_text())
    assert next(iter(history["result"]["test"].values())) > 0.8


def test_options_reach_the_estimator():
    call(
        *("train", "diabetes", "-q", "--epochs", 2, "--hidden", "5, 4", "--members", 3),
        *("--embedding", "none", "--loss", "huber", "--dtype", "float64", "--seed", 7),
        *("--time-limit", 50, "--test-size", 0.5, "--out", "o"),
    )
    model = xpnn.load(Path("o", run.MODEL))
    expected = {
        "hidden": (5, 4), "n_members": 3, "embedding": None, "loss": "huber", "epochs": 2,
        "dtype": "float64", "random_state": 7, "time_limit": 50.0, "device": None,
    }  # fmt: skip
    assert {name: model.get_params()[name] for name in expected} == expected
    call("train", "iris", *QUICK, "-q", "--class-weight", "balanced", "--out", "c")
    assert xpnn.load(Path("c", run.MODEL)).class_weight == "balanced"


def test_the_target_and_the_task_can_be_named():
    houses()
    out = call("train", "houses.csv", *QUICK, "--target", "town", "--drop", "price").stdout
    assert "2 columns; classification into 3 classes, target 'town'" in out
    out = call("train", "digits", *QUICK, "--task", "regression").stdout
    assert "64 columns; regression" in out
    assert re.search(r"(?m)^R2 +\d", out)


@pytest.mark.own_context
@pytest.mark.targets(*(name for name in TABLE if name != "numpy:readonly"))  # it reads its own
def test_train_and_predict_on_every_device(target_any):
    spec = target_any.backend.name
    out = call("train", "iris", *QUICK, "--device", spec, "--out", "o").stdout
    assert out.startswith(f"device  {spec}, float32\n")
    here = call("predict", "o", "iris", "--proba", "--device", "numpy").stdout
    there = call("predict", "o", "iris", "--proba", "--device", spec).stdout
    a, b = (np.array([r.split(",")[1:] for r in t.splitlines()[1:]], float) for t in (here, there))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a console there gets Ctrl-C as a group")
def test_ctrl_c_keeps_what_was_learnt():
    process = subprocess.Popen(
        [*COMMAND, "train", "iris", "--epochs", "1000000", "--hidden", "8", "--out", "o"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.readline().startswith("epoch 1/")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "xpnn: warning: Training interrupted by user.\n"
    assert re.search(r"(?m)^epochs  \d+$", out)
    assert len(xpnn.load("o/model.safetensors").predict(read_table("iris").columns)) == 150


# -- predict ------------------------------------------------------------------------------------


def test_predict_treats_a_table_as_training_did():
    """The file's estimator takes the table itself: the preprocessing is its own."""
    houses()
    call("train", "houses.csv", "--epochs", 40, "-q", "--out", "o")
    model = xpnn.load("o/model.safetensors")
    columns = read_table("houses.csv").columns
    expected = model.predict(columns)
    result = call("predict", "o", "houses.csv")
    lines = result.stdout.splitlines()
    assert lines[0] == "price"
    np.testing.assert_allclose(np.array(lines[1:], dtype=float), expected, rtol=1e-6)
    price = columns["price"].astype(float)
    r2 = 1 - ((price - expected) ** 2).sum() / ((price - price.mean()) ** 2).sum()
    rmse, mae = np.sqrt(((price - expected) ** 2).mean()), np.abs(price - expected).mean()
    expected = f"R2 {r2:.4g}, RMSE {rmse:.4g}, MAE {mae:.4g} on 120 rows with 'price'\n"
    assert result.stderr == expected


def test_predict_bounds_and_keeps_columns():
    houses()
    call("train", "houses.csv", "--epochs", 40, "-q", "--out", "o")
    result = call("predict", "o", "houses.csv", "--interval", 0.8, "--keep", "id", "--keep", "town")
    head, *lines = result.stdout.splitlines()
    assert head == "id,town,price,price low,price high"
    cells = [line.split(",") for line in lines]
    assert [c[0] for c in cells] == [str(i) for i in range(1, 121)]
    low, y, high = (np.array([c[i] for c in cells], float) for i in (3, 2, 4))
    assert ((low <= y) & (y <= high)).mean() > 0.9
    truth = np.array([line.split(",")[-1] for line in Path("houses.csv").read_text().split()[1:]])
    truth = truth.astype(float)
    assert ((low <= truth) & (truth <= high)).mean() > 0.7
    assert "no column 'twon'; did you mean 'town'" in refused(
        *("predict", "o", "houses.csv", "--keep", "twon"), code=1
    )
    assert "--interval must be" in refused("predict", "o", "houses.csv", "--interval", 1, code=2)


def test_words_unknown_in_training_are_told():
    houses()
    call("train", "houses.csv", *QUICK, "-q", "--out", "o")
    Path("new.csv").write_text("size,town,garden\n50,ulm,true\n60,Ulm,true\n")
    told = call("predict", "o", "new.csv").stderr
    assert "'town': 1 row has words unknown in training ('ulm'; training had 'Ulm')" in told


def test_predict_writes_a_file_with_probabilities():
    call("train", "iris", "--epochs", 40, "-q")
    result = call("predict", "xpnn-out/iris/model.safetensors", "iris", "--proba", "--out", "p.csv")
    assert result.stdout == ""
    head, *lines = Path("p.csv").read_text().splitlines()
    assert head == "target,p(setosa),p(versicolor),p(virginica)"
    assert len(lines) == 150
    label, *p = lines[0].split(",")
    assert label == "setosa"
    assert sum(map(float, p)) == pytest.approx(1, abs=1e-5)
    truth = make_problem(read_table("iris")).y
    right = np.mean([line.split(",")[0] == t for line, t in zip(lines, truth, strict=True)])
    assert result.stderr.startswith(f"accuracy {100 * right:.2f} %, balanced accuracy ")
    assert result.stderr.endswith(" on 150 rows with 'target'\n")


def test_predict_takes_columns_in_any_order_without_a_target():
    houses()
    call("train", "houses.csv", *QUICK, "-q", "--out", "o")
    Path("new.csv").write_text("town,more,garden,size\nUlm,x,true,100\nParis,y,,\n")
    result = call("predict", "o", "new.csv")
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr == "note    'town': 1 row has words unknown in training ('Paris')\n"
    values = np.array(result.stdout.splitlines()[1:], dtype=float)
    assert np.isfinite(values).all()


def test_predict_needs_preprocessing():
    model = xpnn.MLPRegressor(max_iter=1).partial_fit(np.eye(3), np.arange(3.0))
    xpnn.save(model, "m")
    assert "saved without preprocessing" in refused("predict", "m", "diabetes", code=1)


# -- tables as people have them -----------------------------------------------------------------


def lines_of(n, *columns):
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=n), 3).tolist()
    return [",".join(str(c(i, x[i])) for c in columns) for i in range(n)]


def trained(name, text, *options):
    Path(name).write_text(text, encoding="utf-8")
    return call("train", name, *QUICK, "--out", "o", *options).stdout


def test_a_table_without_names_trains_and_is_predicted():
    kinds = ("setosa", "virginica", "other")
    full = lines_of(60, lambda i, x: x, lambda i, x: i % 3 + x / 9, lambda i, x: kinds[i % 3])
    out = trained("train.data", "\n".join(full))
    assert "60 rows, 2 columns; classification into 3 classes, target 'column_3'" in out
    assert "note    no names in the first line" in out
    Path("new.csv").write_text("\n".join(line.rpartition(",")[0] for line in full[:7]))
    head, *labels = call("predict", "o", "new.csv").stdout.splitlines()
    assert (head, len(labels)) == ("column_3", 7)
    trained("first.data", "\n".join(full), "--target", "column_1")
    Path("new.csv").write_text("\n".join(line.partition(",")[2] for line in full[:7]))
    assert call("predict", "o", "new.csv").stdout.startswith("column_1\n")
    assert "2 columns" in trained("t.csv", "\n".join(full), "--no-header", "--target", "column_3")
    assert "59 rows" in trained("t.csv", "\n".join(full), "--header")


@pytest.mark.parametrize(
    "labels",
    [("01", "02"), ("1.0", "2.0"), ("True", "False"), (" yes", "no "), ("2" * 25, "3" * 25)],
)
def test_predicted_labels_are_spelled_as_in_the_file(labels):
    rows = lines_of(60, lambda i, x: x / 9 + i % 2, lambda i, x: labels[i % 2])
    trained("t.csv", "x,y\n" + "\n".join(rows), "--epochs", 60, "--task", "classification")
    result = call("predict", "o", "t.csv")
    assert set(result.stdout.split("\n")[1:-1]) == {label.strip() for label in labels}
    assert result.stderr.startswith("accuracy 100.00 %, ")


def test_booleans_of_parquet_are_predicted_as_csv_spells_them():
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"x": [0.1, 1.3] * 30, "flag": [False, True] * 30})
    frame.to_parquet("t.parquet")
    call("train", "t.parquet", "--epochs", 60, "--hidden", "16", "-q", "--out", "o")
    Path("new.csv").write_text("x,flag\n.1,False\n1.3,True\n")
    result = call("predict", "o", "new.csv")
    assert result.stdout == "flag\nFalse\nTrue\n"
    assert result.stderr.startswith("accuracy 100.00 %")


def test_what_training_read_prediction_reads_in_the_same_way():
    def price(i, x):
        return f'"{1000 + 100 * x:.2f}"'.replace(".", ",") if i % 9 else "k.A."

    rows = lines_of(200, lambda i, x: f"{1 + i % 28}.3.2024", price, lambda i, x: 2 * x + 0.001)
    out = trained("t.csv", "day,price,y\n" + "\n".join(rows), "--na", "k.A.", "--epochs", 40)
    assert "note    'day': dates, such as '1.3.2024' read as day/month/year" in out
    assert "note    'price': numbers written with a decimal comma" in out
    new = 'day,price\n02.03.2024,"{}"\n'
    found = []
    for text in ("1.234", "1.234,00", "1234", "1,234"):
        Path("new.csv").write_text(new.format(text))
        found.append(float(call("predict", "o", "new.csv").stdout.splitlines()[1]))
    assert found[0] == found[1] == found[2] != found[3]
    Path("new.csv").write_text(new.format("-") + new.splitlines()[1].format("dear"))
    error = refused("predict", "o", "new.csv", code=1)
    assert error == (
        "Column 'price' should be numbers, got 'dear' in row 2; correct it, or leave it empty; "
        "the command takes it for a gap with --na."
    )
    call("predict", "o", "new.csv", "--na", "dear")


def test_reading_options_are_those_of_both_commands():
    rows = lines_of(60, lambda i, x: f"1.{100 + 7 * i}", lambda i, x: "né" if i % 2 else "-1")
    text = "\n".join(rows).replace(",", "^").replace("1.", "1,")
    Path("t.txt").write_bytes(text.encode("latin-1"))
    options = ("--sep", "^", "--encoding", "latin-1", "--decimal", ",", "--no-header", "--na", "x")
    out = call("train", "t.txt", *QUICK, "--out", "o", *options).stdout
    assert "60 rows, 1 column; classification into 2 classes, target 'column_2'" in out
    assert len(call("predict", "o", "t.txt", *options).stdout.splitlines()) == 61
    whole = call("train", "t.txt", *QUICK, "--out", "o", *options[:4], "--thousands", ",").stdout
    assert "'column_1': numbers written with thousands separators" in whole
    for command in ("train", "predict"):
        where = ("t.txt",) if command == "train" else ("o", "t.txt")
        error = refused(command, *where, "--decimal", "x", code=2)
        assert error == "--decimal takes . or , and not 'x'."


def test_a_packed_table_from_standard_input():
    rows = "x,y\n" + "\n".join(lines_of(60, lambda i, x: x, lambda i, x: "ab"[i % 2]))
    packed = gzip.compress(rows.encode())
    done = RUNNER.invoke(app, ["train", "-", *QUICK, "-q"], input=packed)
    assert (done.exit_code, done.stdout) == (0, "")
    assert Path("xpnn-out/stdin", run.MODEL).is_file()


def test_a_long_reading_is_told(monkeypatch):
    houses()
    monkeypatch.setattr(reading, "_TOLD", 100)
    assert "reading houses.csv ...\n" in call("train", "houses.csv", *QUICK).stderr
    assert "reading" not in call("train", "houses.csv", *QUICK, "-q").stderr


# -- explain, compare, splits --------------------------------------------------------------------


@pytest.mark.draws
def test_explain_says_what_columns_are_worth():
    pytest.importorskip("matplotlib")
    houses()
    call("train", "houses.csv", "--epochs", 60, "-q", "--out", "o")
    out = call("explain", "o", "--out", "i.png").stdout
    assert "3 words" in out
    assert "R2 " in out
    assert out.endswith("wrote   i.png\n")
    assert re.search(r"(?m)^column +importance +spread\n[- ]+\nsize +\d", out)
    assert Path("i.png").read_bytes().startswith(b"\x89PNG")
    again = call("explain", "o", "houses.csv").stdout
    assert re.match(r"column +importance +spread\n[- ]+\nsize +\d", again)
    Path("new.csv").write_text("size,town,garden\n50,Ulm,true\n")
    assert "no column 'price'" in refused("explain", "o", "new.csv", code=1)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_compare_shows_ours_beside_others(task):
    houses(task=task, n=60)
    out = call("compare", "houses.csv", "--folds", 2, "--time-limit", 0.2).stdout
    assert f"; {task}" in out
    names = ("xpnn", "boosting (scikit-learn)", "random forest", "MLP", "regression")
    for name in names:
        assert re.search(rf"(?m)^{re.escape(name)}.* \d+\.\d$|^\w+ {name}.* \d+\.\d$", out), name
    rows = out.rpartition("seconds\n")[2].splitlines()[1:]
    first = [float(re.search(r"  (-?[\d.]+)", row).group(1)) for row in rows]
    assert len(first) >= 5
    assert first == sorted(first, reverse=True)


def test_test_rows_by_a_file_a_group_or_time():
    houses(n=100)
    houses("other.csv", n=50, seed=1)
    out = call("train", "houses.csv", *QUICK, "--test", "other.csv").stdout
    assert "rows    100 train, 50 test" in out
    out = call("train", "houses.csv", *QUICK, "--group", "town", "--refit").stdout
    train, test = (int(n) for n in re.search(r"rows +(\d+) train, (\d+) test", out).groups())
    assert train + test == 100
    assert test >= 20
    out = call("train", "houses.csv", *QUICK, "--time", "id", "--test-size", 0.1).stdout
    assert "rows    90 train, 10 test" in out
    assert "no column 'towns'" in refused("train", "houses.csv", "--group", "towns", code=1)
    assert "holds words" in refused("train", "houses.csv", "--time", "town", code=1)


def test_groups_stay_together_and_times_are_in_order():
    rng = np.random.default_rng(0)
    groups = rng.choice(list("abcdefg"), 200).astype(object)
    train, test = splits.split_by_groups(groups, 0.3)
    assert not set(groups[train]) & set(groups[test])
    assert sorted([*train, *test]) == list(range(200))
    assert len(test) >= 60
    times = rng.integers(0, 50, 200).astype(float)
    times[:5] = np.nan
    train, test = splits.split_by_time(times, 0.3)
    assert np.nanmax(times[train]) < times[test].min()
    assert 30 < len(test) < 90
    assert set(range(5)) <= set(train)


def test_a_column_that_gives_the_answer_away_is_told():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    rows = [f"{a:.3f},{10 * b + c:.3f},{'yn'[b]}" for a, b, c in
            zip(rng.normal(size=200), y, rng.normal(size=200), strict=True)]  # fmt: skip
    Path("t.csv").write_text("noise,leak,y\n" + "\n".join(rows) + "\n")
    out = call("train", "t.csv", "--epochs", 60).stdout
    assert "note    'leak' alone gives the answer away" in out


def test_columns_that_say_nothing_are_told():
    rows = "".join(f"5,x,{i % 2}\n" for i in range(40))
    Path("t.csv").write_text("a,b,y\n" + rows)
    assert "no column says anything of the target" in call("train", "t.csv", *QUICK).stdout


def test_compare_where_a_fold_has_one_class():
    rng = np.random.default_rng(0)
    rows = [f"{x:.3f},{'yes' if i == 3 else 'no'}" for i, x in enumerate(rng.normal(size=40))]
    Path("t.csv").write_text("a,y\n" + "\n".join(rows) + "\n")
    out = call("compare", "t.csv", "--folds", 2, "--time-limit", 0.1).stdout
    assert "logistic regression" in out
    assert re.search(r"(?m)^xpnn +9", out)


def test_tables_of_one_name_do_not_overwrite_each_other():
    for folder in ("a", "b"):
        Path(folder).mkdir()
        houses(f"{folder}/houses.csv", n=40)
        call("train", f"{folder}/houses.csv", *QUICK, "-q")
    call("train", "a/houses.csv", *QUICK, "-q")
    assert {p.name for p in Path("xpnn-out").iterdir()} == {"houses", "houses-2"}


def test_python_can_run_the_package(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["xpnn", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("xpnn", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"xpnn {xpnn.__version__}\n"


def test_every_command_that_reads_a_table_has_the_same_options():
    names = [*reading.Reading._fields]
    for command in ("train", "predict", "explain", "compare"):
        text = call(command, "--help").stdout
        assert re.findall(rf"^ +--({'|'.join(names)})\b", text, re.M) == names


# -- errors -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("data", "name", "known"),
    [("diabetes", "mae", "absolute_error"), ("iris", "log_loss", None)],
)
def test_losses_go_by_the_names_that_people_know(data, name, known):
    call("train", data, *QUICK, "-q", "--loss", name, "--out", "a")
    call("train", data, *QUICK, "-q", *(() if known is None else ("--loss", known)), "--out", "b")
    runs = [json.loads(Path(folder, run.HISTORY).read_text()) for folder in "ab"]
    assert runs[0]["history"]["loss"] == runs[1]["history"]["loss"]


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
        ("a,b\n", (), "t.csv is empty: it has no rows"),
        ("a,b\n1,2,3\n", (), "t.csv, line 2: 3 values under 2 columns"),
        ("size,price\n1,2\n", ("--target", "prize"), "no column 'prize'; did you mean 'price'?"),
        ("a,b\n1,x\n2,y\n", ("--task", "regression"), "'b' is not numeric ('x' in row 1)"),
        ("a,b\n1,.5\n2,1.5\n", (), "A table of 2 rows is too small"),
        ("a,b\n.5,2024-01-01\n1.5,2024-01-02\n", (), "The target 'b' holds dates"),
        ('a,b\n1,2\n"3,4\n', (), "t.csv, line 3: a quote is opened that is never closed"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(content, args, message):
    if content is not None:
        Path("t.csv").write_text(content)
    assert message in refused("train", "t.csv", *args, code=1)


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


# -- the rest -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_devices_as_a_table_and_as_json():
    lines = call("devices").stdout.splitlines()
    assert lines[0].split() == [
        "device",
        "library",
        "version",
        "usable",
        "what,",
        "or",
        "why",
        "not",
    ]
    assert re.match(r"numpy +numpy +\d\S+ +yes +CPU", lines[2])
    found = json.loads(call("devices", "--json").stdout)
    assert len(found) == len(lines) - 4
    common = {"spec", "library", "version", "device", "usable", "reason"}
    assert [set(d) - common for d in found] == [{"steps"}] + [set()] * (len(found) - 1)
    assert lines[-2:] == ["", f"steps on numpy: {found[0]['steps']}"]
    assert found[0]["steps"].startswith(("compiled; ", "NumPy alone, "))
    assert all(d["usable"] or d["reason"] for d in found)


def test_xpnn_device_is_the_default(monkeypatch):
    monkeypatch.setenv("XPNN_DEVICE", "numpy")
    assert call("train", "iris", *QUICK).stdout.startswith("device  numpy,")
    monkeypatch.setenv("XPNN_DEVICE", "abacus")
    assert refused("train", "iris", *QUICK, code=2).startswith("XPNN_DEVICE=abacus: ")


def test_version():
    assert call("--version").stdout == f"xpnn {xpnn.__version__}\n"


def test_help_is_quick_and_names_everything():
    for command in ("train", "predict", "explain", "compare", "devices"):
        assert command in call("--help").stdout
        assert call(command, "--help").exit_code == 0
    heavy = ["sklearn", "pandas", "matplotlib", "torch", "jax", "cupy", "safetensors"]
    code = f"import sys, xpnn.cli; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "[]\n"


def test_a_shell_sees_the_exit_status_and_no_traceback():
    done = subprocess.run([*COMMAND, "train", "nowhere.csv"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "xpnn: error: There is no file nowhere.csv.\n"
