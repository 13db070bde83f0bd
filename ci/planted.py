"""The mistakes that `mutants.py` plants, each an edit of one file."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A mistake: what it is, where, the text and what stands there instead."""

    what: str
    file: str  # in src/xpnn
    old: str
    new: str
    tests: str  # where a failure is likely, tried before the whole suite
    device: str = "numpy"


STRICT = "strict:device1"

MUTANTS = (
    # -- parts
    Mutant(
        "label smoothing shares among c - 1 classes",
        "parts/losses.py",
        "+ label_smoothing / c\n",
        "+ label_smoothing / (c - 1)\n",
        "losses",
    ),
    Mutant(
        "one loss ignores sample weights",
        "parts/losses.py",
        "_weighted_mean(g * (r - 0.5 * g), g, weight, xp)",
        "_weighted_mean(g * (r - 0.5 * g), g, None, xp)",
        "losses",
    ),
    Mutant(
        "softmax without subtracting the maximum",
        "parts/losses.py",
        "z = output - xp.max(output, axis=-1, keepdims=True)",
        "z = output",
        "losses",
    ),
    Mutant(
        "a loss's gradient has the wrong sign",
        "parts/losses.py",
        "_weighted_mean(xp.abs(r), sign(r, xp), weight, xp)",
        "_weighted_mean(xp.abs(r), -sign(r, xp), weight, xp)",
        "losses network",
    ),
    Mutant(
        "momentum pulls back",
        "parts/optimizers.py",
        "velocity = self.momentum * state[0] - step * gradient",
        "velocity = -self.momentum * state[0] - step * gradient",
        "optimizers",
    ),
    Mutant(
        "Adam's bias correction is a step late",
        "parts/optimizers.py",
        "/ (1.0 - self.beta_1**t)",
        "/ (1.0 - self.beta_1 ** (t + 1))",
        "optimizers",
    ),
    Mutant(
        "AdamW decays biases too",
        "parts/optimizers.py",
        "shrink = shrink if decay is None else shrink * decay",
        "pass",
        "optimizers",
    ),
    Mutant(
        "the gradient is clipped by its largest entry",
        "parts/regularization.py",
        "xp.sqrt(xp.sum(unit * unit, axis=-1, keepdims=True))",
        "xp.max(xp.abs(unit), axis=-1, keepdims=True)",
        "optimizers",
    ),
    Mutant(
        "R2 divides by the spread of unweighted rows",
        "parts/metrics.py",
        "spread = xp.sum(w * (shifted - mean) ** 2, axis=0)",
        "spread = xp.sum((shifted - mean) ** 2, axis=0)",
        "metrics",
    ),
    Mutant(
        "ELU's slope is that of its value",
        "parts/activations.py",
        "return at_most(a, 0.0, xp) + 1.0",
        "return at_most(z, 0.0, xp) + 1.0",
        "activations",
    ),
    Mutant(
        "He's bound asks for the outputs",
        "parts/initializers.py",
        "bound=math.sqrt(6.0 / fan_in))",
        "bound=math.sqrt(6.0 / fan_out))",
        "initializers",
    ),
    Mutant(
        "the warm-up is a step off",
        "parts/schedules.py",
        "((progress.step + 1) / rising)",
        "(progress.step / rising)",
        "schedules",
    ),
    # -- arrays
    Mutant(
        "dropout does not scale what it keeps",
        "arrays/random.py",
        "xp.astype(draws < kept, dtype) * (65536 / kept)",
        "xp.astype(draws < kept, dtype)",
        "random",
    ),
    Mutant(
        "a NumPy scalar makes float32 masks float64",
        "arrays/random.py",
        "xp.astype(draws < kept, dtype) * (65536 / kept)",
        "xp.astype(draws < kept, dtype) * np.float64(65536 / kept)",
        "random network",
    ),
    # -- model
    Mutant(
        "the bias has no gradient",
        "model/dense.py",
        '{"bias": xp.sum(dz, axis=-2)}',
        '{"bias": 0.0 * xp.sum(dz, axis=-2)}',
        "network",
    ),
    Mutant(
        "the gradient goes through dropped units",
        "model/dense.py",
        "            g = g * saved.mask\n",
        "            g = g * 1.0\n",
        "network",
    ),
    Mutant(
        "layer normalization over the batch",
        "model/normalization.py",
        'xp.mean(a, axis=-2 if kind == "batch" else -1, keepdims=True)',
        "xp.mean(a, axis=-2, keepdims=True)",
        "normalization",
    ),
    Mutant(
        "the running variance lacks n / (n - 1)",
        "model/normalization.py",
        "variance[..., 0, :] * (n / (n - 1))",
        "variance[..., 0, :]",
        "normalization",
    ),
    Mutant(
        "a step waits for the device",
        "model/dense.py",
        "backward(saved.z, saved.a, g, xp)\n",
        "backward(saved.z, saved.a, g, xp)\n        float(xp.sum(dz))\n",
        "network transfers",
        STRICT,
    ),
    # -- steps
    Mutant(
        "the reference doubles the L2 penalty's gradient",
        "steps/rules.py",
        "return cost / over, push / over",
        "return cost / over, 2.0 * push / over",
        "training kernels",
    ),
    Mutant(
        "steps in place halve the L2 penalty's gradient",
        "steps/numpy.py",
        "np.multiply(w, theta.dtype.type(l2), out=scaled)",
        "np.multiply(w, theta.dtype.type(0.5 * l2), out=scaled)",
        "kernels",
    ),
    Mutant(
        "steps in place forget the dropout scale on the way back",
        "steps/numpy.py",
        "np.multiply(g, g.dtype.type(65536 / keep_count(drop.rate)), out=g)",
        "pass",
        "kernels",
    ),
    Mutant(
        "a last short batch counts as a full one in the epoch's loss",
        "steps/operations.py",
        "(value if penalty is None else value + penalty) * n",
        "(value if penalty is None else value + penalty) * (n if n > 9 else 16)",
        "kernels training",
    ),
    Mutant(
        "a last short batch's penalty is over a full one",
        "steps/inplace.py",
        "rules.l2 / rules.over(n, weight, self.xp)",
        "rules.l2 / rules.over(n if n > 9 else 16, weight, self.xp)",
        "kernels",
    ),
    Mutant(
        "weights of one compiled loss are left out of its value",
        "steps/compiled/losses.h",
        "found += (double)share[i] * (double)of_row[i];",
        "found += (double)share[0] * (double)of_row[i];",
        "compiled_steps",
    ),
    Mutant(
        "a helping thread's biases are left out",
        "steps/compiled/steps.h",
        "for (int64_t i = 1; i < p->parts; i++)\n        add_scaled(t->mine->vectors",
        "for (int64_t i = 2; i < p->parts; i++)\n        add_scaled(t->mine->vectors",
        "shared_steps",
    ),
    Mutant(
        "compiled tanh forgets that its output was scaled by dropout",
        "steps/compiled/activations.h",
        "SLOPE(tanh, 1 - a * a)",
        "SLOPE(tanh, 1 - y[i] * y[i])",
        "compiled_steps",
    ),
    Mutant(
        "a compiled cross-entropy does not subtract the maximum",
        "steps/compiled/losses.h",
        "    below_top(g, s->rows, s->classes);\n",
        "",
        "compiled_steps",
    ),
    Mutant(
        "predictions in blocks forget the last layer's bias",
        "steps/inference.py",
        "        if b is not None:\n            x += b",
        '        if b is not None and name != "identity":\n            x += b',
        "estimators",
    ),
    Mutant(
        "a thread's limit on BLAS is not taken back",
        "steps/threads.py",
        "    if limit is not None:\n        _restore(limit, force=True)",
        "    if limit is None:\n        _restore(limit, force=True)",
        "threads",
    ),
    Mutant(
        "a forked child keeps the limit of a thread that it has not",
        "steps/threads.py",
        "    if not _inside:\n        _take_back()\n\n\nif hasattr",
        "    if _inside:\n        _take_back()\n\n\nif hasattr",
        "threads",
    ),
    Mutant(
        "BLAS has its threads back while others still work without",
        "steps/threads.py",
        "if not _inside if _of_all else",
        "if True if _of_all else",
        "threads",
    ),
    # -- training
    Mutant(
        "who was told of a beginning does not hear of a failed one",
        "training/callbacks.py",
        "                for callback in begun:\n",
        "                for callback in begun if len(begun) == len(self._callbacks) else []:\n",
        "callbacks",
    ),
    Mutant(
        "early stopping is an epoch early",
        "training/loop.py",
        "if s.stale > c.patience:",
        "if s.stale >= c.patience:",
        "stopping",
    ),
    Mutant(
        "each epoch has the first one's order",
        "training/portions.py",
        "host_generator(self.seed, SHUFFLE, self.epoch).permutation(n)",
        "host_generator(self.seed, SHUFFLE, 0).permutation(n)",
        "training",
    ),
    Mutant(
        "a state's copy shares its moments",
        "training/state.py",
        "return theta, buffers, tuple(moments)",
        "return theta, buffers, weights[2]",
        "training",
    ),
    Mutant(
        "float64 rows stay float64 in float32 work",
        "training/data.py",
        "dtype=self.dtype if real or _is_floating(a) else None",
        "dtype=self.dtype if real and not _is_floating(a) else None",
        "data",
    ),
    Mutant(
        "rows go to the device by way of the host",
        "training/data.py",
        "return self.backend.asarray(a, dtype=self.dtype if real",
        "return self.backend.asarray(to_numpy(a), dtype=self.dtype if real",
        "data transfers",
        STRICT,
    ),
    Mutant(
        "L-BFGS divides by rows instead of weights",
        "training/lbfgs.py",
        "if weight is None else xp.sum(weight)",
        "if weight is None else xp.ones_like(value) * x.shape[0]",
        "lbfgs",
    ),
    # -- estimators
    Mutant(
        "the classes' probabilities change places",
        "estimators/_labels.py",
        "z = xp.concat([-z, z], axis=1)",
        "z = xp.concat([z, -z], axis=1)",
        "estimators",
    ),
    Mutant(
        "held-out rows lose their weights",
        "estimators/_heldout.py",
        "weight = np.ones(rows.x.shape[0]) if rows.weight is None else rows.weight",
        "weight = np.ones(rows.x.shape[0])",
        "estimators callbacks",
    ),
    Mutant(
        "a second fit keeps the optimizer's moments",
        "estimators/_settings.py",
        "if restart or est._moments_of is not kind:",
        "if est._moments_of is not kind:",
        "sklearn_parity",
    ),
    # -- tables, files
    Mutant(
        "a linear model's coefficients are of columns as they are scaled",
        "tabular/linear.py",
        "coefficients = best[0] / spread[:, None]",
        "coefficients = best[0]",
        "tabular_linear",
    ),
    Mutant(
        "a form feed ends a line",
        "tables/delimited.py",
        'yield from io.StringIO(text[start:end], newline="")',
        "yield from text[start:end].splitlines(keepends=True)",
        "reading",
    ),
    Mutant(
        "a model file's format is not asked for",
        "files/record.py",
        'if metadata.get("format") != kind.name:',
        'if "format" in metadata and metadata["format"] == "":',
        "files",
    ),
    Mutant(
        "a model file's checksum is not compared",
        "files/record.py",
        'if metadata["sha256"] != _digest(text, arrays):',
        'if not metadata["sha256"]:',
        "files",
    ),
    # -- perceptron
    Mutant(
        "the perceptron stops an epoch late",
        "perceptron/fit.py",
        "return self.waited >= plan.patience",
        "return self.waited > plan.patience",
        "perceptron",
    ),
    Mutant(
        "the pocket keeps the last weights of equals",
        "perceptron/fit.py",
        "better = badness < self.badness",
        "better = badness <= self.badness",
        "perceptron_own",
    ),
    Mutant(
        "NumPy's blocks of the perceptron decide ties by any order of summing",
        "perceptron/numpy.py",
        "bound: float = self.apart * (longest * length + b + reach) + self.tiny",
        "bound: float = 0.0",
        "perceptron_ties",
    ),
    Mutant(
        "the compiled perceptron decides ties by any order of summing",
        "steps/compiled/perceptron_epoch.h",
        "apart * (absolute * scale + fabs(intercept)) + LEAST",
        "0.0",
        "perceptron_ties",
    ),
    # -- tabular
    Mutant(
        "a member learns from the rows of its fold alone",
        "tabular/folds.py",
        "own = [np.flatnonzero(repeat != f)",
        "own = [np.flatnonzero(repeat == f)",
        "tabular_plan",
    ),
    Mutant(
        "probabilities out of fold are not calibrated",
        "tabular/classifier.py",
        "return tempered(prediction, self.temperature_)",
        "return prediction",
        "tabular_intervals",
    ),
)
