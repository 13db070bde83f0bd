"""The perceptron's rules, a problem for them, and the formulas one row after another."""

import numpy as np

from xpnn.perceptron.reference import Rule

ROWS, FEATURES = 150, 7
RULES = {
    "plain": Rule(),
    "no intercept": Rule(eta=0.3, fit_intercept=False),
    "zero is positive": Rule(zero_is_positive=True),
    "average": Rule(average=True),
    "l2": Rule(alpha=0.01),
    "l2 average": Rule(alpha=0.02, average=True),
    "l2 folds its scale": Rule(eta=2.0, alpha=0.06),
    "l1": Rule(alpha=0.01, l1_ratio=1.0),
    "elasticnet": Rule(alpha=0.02, l1_ratio=0.3),
    "elasticnet average": Rule(alpha=0.02, l1_ratio=0.3, average=True),
    "sparse": Rule(sparse=True),
    "sparse l2": Rule(alpha=0.01, sparse=True),
    "sparse elasticnet": Rule(alpha=0.01, l1_ratio=0.2, sparse=True),
}
BATCHES = {
    "plain": Rule(batch_size=8),
    "l2 average": Rule(alpha=0.01, batch_size=8, average=True),
    "elasticnet": Rule(alpha=0.02, l1_ratio=0.3, batch_size=5),
    "sparse l2": Rule(alpha=0.01, sparse=True, batch_size=16),
}


def problem(k: int, *, sparse: bool = False, seed: int = 0) -> dict[str, np.ndarray]:
    """A noisy problem of k classes (k = 1: two) with weights, float64."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((ROWS, FEATURES))
    scores = x @ rng.standard_normal((FEATURES, max(k, 2))) + rng.standard_normal((ROWS, max(k, 2)))
    if sparse:
        x = x * (rng.random(x.shape) < 0.4)
    return {
        "x": x,
        "y": np.argmax(scores, axis=1).astype(np.int32),
        "weight": rng.uniform(0.5, 2.0, ROWS),
        "labels": np.asarray([1] if k == 1 else range(k), dtype=np.int32),
        "class_weight": rng.uniform(0.5, 2.0, (2, k)),
        "order": rng.permutation(ROWS)[:133],
    }


def one_by_one(p: dict[str, np.ndarray], rule: Rule, epochs: int) -> dict[str, np.ndarray]:
    """The rule in plain float64, one batch of samples after the other, each class by itself."""
    k, d = len(p["labels"]), p["x"].shape[1]
    w, b, q = np.zeros((k, d)), np.zeros(k), np.zeros((k, d))
    mean, mean_b, sums = np.zeros((k, d)), np.zeros(k), []
    square, absolute = np.zeros(k), np.zeros(k)
    seen, clip = 0, 0.0
    for _ in range(epochs):
        total = np.zeros((3, k))
        for at in range(0, len(p["order"]), rule.batch_size):
            rows = p["order"][at : at + rule.batch_size]
            x, m = p["x"][rows], len(rows)
            clip += rule.l1_step * m
            for c in range(k):
                sign = np.where(p["y"][rows] == p["labels"][c], 1.0, -1.0)
                margin = sign * (x @ w[c] + b[c])
                wrong = (margin < 0) | ((margin == 0) & ((sign < 0) | (not rule.zero_is_positive)))
                size = rule.eta * p["class_weight"][(sign > 0).astype(int), c] * p["weight"][rows]
                step = np.where(wrong, sign * size, 0.0)
                loss = np.maximum(-margin, 0.0).sum()
                l2, l1 = 0.5 * (1 - rule.l1_ratio) * square[c], rule.l1_ratio * absolute[c]
                total[:, c] += (loss, loss + m * rule.alpha * (l2 + l1), wrong.sum())
                w[c] = w[c] * rule.shrink**m + step @ x
                b[c] += rule.bias * step.sum()
                square[c] *= rule.shrink ** (2 * m)
                absolute[c] *= rule.shrink**m
                there = (x != 0).any(axis=0) if rule.sparse else np.ones(d, dtype=bool)
                if step.any():
                    square[c], absolute[c] = (w[c][there] ** 2).sum(), abs(w[c][there]).sum()
                if rule.l1_step:
                    old = w[c].copy()
                    for f in np.flatnonzero(there):
                        if old[f] > 0:
                            w[c, f] = max(0.0, old[f] - (clip + q[c, f]))
                        elif old[f] < 0:
                            w[c, f] = min(0.0, old[f] + (clip - q[c, f]))
                        q[c, f] += w[c, f] - old[f]
            mean += (w - mean) * m / (seen + m)
            mean_b += (b - mean_b) * m / (seen + m)
            seen += m
        sums.append(total)
    return {
        "coef": w,
        "intercept": b,
        "mean": mean,
        "mean_intercept": mean_b,
        "sums": np.stack(sums),
    }
