"""What `xpnn predict` makes of tables as people have them."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from commands import QUICK, RUNNER, call, houses, refused

import xpnn
from xpnn.cli import app, reading
from xpnn.command import train as run
from xpnn.tables import read_table
from xpnn.tables.problem import make_problem

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


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


def test_predict_needs_a_model_of_tables():
    model = xpnn.MLPRegressor(max_iter=1).partial_fit(np.eye(3), np.arange(3.0))
    xpnn.save(model, "m")
    said = refused("predict", "m", "diabetes", code=1)
    assert "m has a MLPRegressor, and nothing says how a table becomes its input" in said


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
