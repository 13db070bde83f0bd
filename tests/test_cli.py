"""The `xpnn` command, as a person meets it."""

import contextlib
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
from commands import COMMAND, QUICK, call, houses, refused
from targets import TABLE

import xpnn
from xpnn.cli import app, reading
from xpnn.command import splits
from xpnn.command import train as run
from xpnn.tables import read_table
from xpnn.tables.problem import make_problem

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("data", "name", "known"),
    [("diabetes", "mae", "absolute_error"), ("iris", "log_loss", None)],
)
def test_losses_go_by_the_names_that_people_know(data, name, known):
    call("train", data, *QUICK, "-q", "--loss", name, "--out", "a")
    call("train", data, *QUICK, "-q", *(() if known is None else ("--loss", known)), "--out", "b")
    runs = [json.loads(Path(folder, run.HISTORY).read_text()) for folder in "ab"]
    assert runs[0]["history"]["loss"] == runs[1]["history"]["loss"]


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
    towns = read_table("houses.csv").columns["town"]
    folds = xpnn.load("xpnn-out/houses/model.safetensors")._folds[0]
    assert len(set(zip(towns, folds, strict=True))) == len(set(towns))
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
    assert splits.names_of(groups, train).tolist() == groups.tolist()
    assert splits.names_of(np.where(groups == "a", None, groups), train)[groups == "a"][0] == ""
    assert splits.names_of(groups, np.flatnonzero(groups == "a")) is None
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
