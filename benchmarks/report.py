"""What the comparison shows: Markdown, JSON and a picture."""

import json
import math
import os
import platform
import statistics
from pathlib import Path
from typing import Any

import numpy as np


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    from threadpoolctl import threadpool_info

    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    np.ones((2, 2)) @ np.ones((2, 2))
    pools = [p for p in threadpool_info() if p["user_api"] == "blas"]
    keys = ("internal_api", "version", "architecture")
    blas = [
        " ".join(str(p.get(k, "")) for k in keys) + f", {p['num_threads']} threads" for p in pools
    ]
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas,
    }


def geometric_mean(values: list[float]) -> float:
    """Of positive numbers; NaN of none."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan


def ratios(rows: list[dict[str, Any]], ours: str, peer: str, key: str) -> list[float]:
    """How many times as long a peer takes on each workload."""
    return [r[key][peer] / r[key][ours] for r in rows if peer in r[key] and ours in r[key]]


def line(row: dict[str, Any]) -> str:
    """One workload in one line: minimum and median microseconds a step, and accuracy."""
    cells = [
        f"{name} {row['min'][name]:.1f}/{row['median'][name]:.1f}"
        + (f" ({row['accuracy'][name]:.3f})" if name in row["accuracy"] else "")
        for name in row["min"]
    ]
    return f"{row['workload']:12s} " + "  ".join(cells)


def training_table(rows: list[dict[str, Any]], key: str) -> list[str]:
    """Microseconds a step, and in brackets how many times xpnn's that is."""
    names = list(dict.fromkeys(name for row in rows for name in row[key]))
    title = f"Training: microseconds a step, {'median' if key == 'median' else 'minimum'}"
    lines = [f"### {title} (times xpnn's)", "", "| workload | " + " | ".join(names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for row in rows:
        cells = [
            f"{row[key][n]:,.1f} ({row[key][n] / row[key]['xpnn']:.2f})"
            if n in row[key] and "xpnn" in row[key]
            else (f"{row[key][n]:,.1f}" if n in row[key] else "")
            for n in names
        ]
        lines.append(f"| {row['workload']} | " + " | ".join(cells) + " |")
    means = [geometric_mean(ratios(rows, "xpnn", n, key)) for n in names]
    cells = ["" if math.isnan(m) else f"{m:.2f}" for m in means]
    return [*lines, "| geometric mean | " + " | ".join(cells) + " |", ""]


def summary(rows: list[dict[str, Any]], key: str) -> list[str]:
    """The figures that have a bar."""
    lines = []
    for ours in ("xpnn", "xpnn-numpy"):
        for peer in ("torch", "torch-compile", "torch-graph", "jax", "sklearn"):
            if r := ratios(rows, ours, peer, key):
                lines.append(
                    f"- {ours} against {peer}: {geometric_mean(r):.2f} times as fast in the "
                    f"geometric mean, worst {min(r):.2f} ({key})"
                )
    limit = [
        f"{r['name']} {r[key]['xpnn'] / r[key]['products']:.2f}"
        for r in rows
        if not r["dropout"] and "products" in r[key] and "xpnn" in r[key]
    ]
    if limit:
        lines.append(f"- step over its matrix products alone, no dropout: {', '.join(limit)}")
    return [*lines, ""]


WAYS = {"xpnn": "launches", "xpnn-graph": "graph", "xpnn-whole": "whole"}


def switches(rows: list[dict[str, Any]], key: str) -> list[str]:
    """Which way of a step on CuPy is the fastest on each workload, and how it stands to torch's."""
    lines: list[str] = []
    for row in rows:
        times = row[key]
        ours = {name: times[name] for name in WAYS if name in times}
        if len(ours) < 2:
            continue
        best = min(ours, key=ours.__getitem__)
        against = [
            f"{times[peer] / ours[best]:.2f}x {peer}"
            for peer in ("torch", "torch-compile", "torch-graph")
            if peer in times
        ]
        gain = f"{times['xpnn'] / ours[best]:.2f}x launches" if "xpnn" in times else ""
        said = ", ".join(word for word in (gain, *against) if word)
        lines.append(f"| {row['workload']} | XPNN_CUDA_STEPS={WAYS[best]} | {said} |")
    if not lines:
        return []
    head = [f"### What to switch on ({key})", "", "| workload | fastest | it is |", "|---|---|---|"]
    return [*head, *lines, ""]


def accuracy_table(rows: list[dict[str, Any]]) -> list[str]:
    """Accuracy on the training rows at the end: all must have learned alike."""
    names = list(dict.fromkeys(name for row in rows for name in row["accuracy"]))
    lines = ["### Accuracy on the training rows", "", "| workload | " + " | ".join(names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for row in rows:
        cells = [f"{row['accuracy'][n]:.3f}" if n in row["accuracy"] else "" for n in names]
        lines.append(f"| {row['workload']} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def simple_table(title: str, rows: list[dict[str, Any]]) -> list[str]:
    """A list of flat records as a table."""
    if not rows:
        return []
    names = list(rows[0])
    lines = [f"### {title}", "", "| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        cells = [f"{row[n]:,.3g}" if isinstance(row[n], float) else str(row[n]) for n in names]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


TITLES = {
    "inference": "Inference: microseconds a call of predict, 64-100-10",
    "memory": "Peak memory of a fit beyond the data, MiB",
    "growth": "Growth: milliseconds an epoch",
}


def markdown(results: dict[str, Any]) -> str:
    """The whole report."""
    where = results["machine"]
    lines = [
        f"{where['processor']}, {where['cores']} cores; Python {where['python']}, NumPy "
        f"{where['numpy']}; {'; '.join(where['blas'])}",
        "",
    ]
    if rows := results["training"]:
        for key in ("median", "min"):
            lines += [*training_table(rows, key), *summary(rows, key), *switches(rows, key)]
        lines += accuracy_table(rows)
    for part, title in TITLES.items():
        lines += simple_table(title, results.get(part, []))
    return "\n".join(lines)


LABELS = {
    "sklearn": "scikit-learn",
    "torch": "PyTorch eager",
    "torch-compile": "PyTorch compiled",
    "jax": "JAX jitted",
}
SHADES = {"sklearn": "#1f5fa8", "torch": "#e8944f", "torch-compile": "#333333", "jax": "#dbe7f5"}
"""Dark, middle and pale: bars that differ in grey, too."""


def picture(results: dict[str, Any], path: Path) -> None:
    """Bars: how many times as long each peer takes as xpnn."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = results["training"]
    names = [n for n in LABELS if any(n in r["median"] for r in rows)]
    figure, axes = plt.subplots(figsize=(6.2, 1.3 + 0.52 * len(rows)), layout="constrained")
    width = 0.8 / max(len(names), 1)
    for k, name in enumerate(names):
        at = [i for i, r in enumerate(rows) if name in r["median"]]
        times = [rows[i]["median"][name] / rows[i]["median"]["xpnn"] for i in at]
        places = [i + (k - (len(names) - 1) / 2) * width for i in at]
        axes.barh(places, times, width, label=LABELS[name], color=SHADES[name], edgecolor="black")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    dropped = [f", dropout {r['dropout']:g}" if r["dropout"] else "" for r in rows]
    labels = ["-".join(map(str, r["sizes"])) + d for r, d in zip(rows, dropped, strict=True)]
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("time of a step, times xpnn's")
    figure.legend(frameon=False, ncols=len(names), loc="outside upper center")
    figure.savefig(path, dpi=160)


def write(results: dict[str, Any], out: Path | None) -> None:
    """Print the Markdown; with a folder, leave it there beside the JSON and the picture."""
    text = markdown(results)
    print(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "compare.md").write_text(text)
        (out / "compare.json").write_text(json.dumps(results, indent=1))
        if results["training"]:
            picture(results, out / "compare.png")
