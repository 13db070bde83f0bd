"""
4. A network by hand
====================

A network with a layer in the middle, calculated on paper: forward, the error, back, and one
weight that changes. Then the same with matrices, and then as often as it takes until the network
knows its table.
"""

import matplotlib.pyplot as plt
import numpy as np

import xpnn
from xpnn import Dense, Network, plot
from xpnn.neurons import TruthTable, backpropagate, gradient_descent

DEVICE = "numpy"
# sphinx_gallery_thumbnail_number = 2

# %%
# What it is to compute
# ---------------------
#
# F = xy + not z: it is 1 where x and y are, or where z is not. We name a row by its inputs and
# not by its number (a table in print calls its third row the fourth).

rows = np.asarray([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
targets = np.asarray([[float((x and y) or not z)] for x, y, z in rows])
ax = plot.truth_table(TruthTable(rows, targets), names=["x", "y", "z", "F"])

# %%
# Forward
# -------
#
# Three inputs, three hidden neurons and one output, all with a sigmoid, ``1 / (1 + exp(-z))``
# (mind the minus: without it the curve falls). No biases, so that everything fits on paper. The
# weights of a neuron stand in a column.

network = Network((Dense(3, 3, "sigmoid", bias=False), Dense(3, 1, "sigmoid", bias=False)))
hidden = np.asarray([[0.9, 0.3, 0.2], [0.8, 0.5, 0.3], [0.1, 0.6, 0.7]])
output = np.asarray([[0.3], [0.5], [0.9]])
found = backpropagate(network, [hidden, output], [[1, 0, 1]], [[0]], device=DEVICE)
shown = [xpnn.to_numpy(a)[0] for a in (*found.sums, *found.outputs)]
print("hidden sums   ", shown[0].round(3))  # 0.9 + 0.1, 0.3 + 0.6, 0.2 + 0.7
print("hidden outputs", shown[2].round(3))
print("output's sum  ", shown[1].round(4))
print("output        ", shown[3].round(4))
print("error         ", round(found.loss, 5))

# %%
# Who rounds on the way gets a little less. With two digits after each sigmoid of the hidden
# layer:


def sigmoid(z):
    """The activation of all neurons here."""
    return 1 / (1 + np.exp(-z))


on_paper = float(sigmoid(np.asarray([1.0, 0.9, 0.9])).round(2) @ output[:, 0])
paper_output = float(sigmoid(on_paper))
paper_error = (0 - round(paper_output, 2)) ** 2 / 2
print(f"sum {on_paper:.3f}, output {paper_output:.4f}, error {paper_error:.5f}")

# %%
# Back
# ----
#
# The **delta** of a neuron says how much the error changes with its sum. At the output it is the
# difference from the target times the slope of the sigmoid there, ``a * (1 - a)``. A hidden
# neuron gets its share of that through its weight, times its own slope.

print("delta of the output      ", xpnn.to_numpy(found.deltas[1])[0].round(4))
print("deltas of the hidden ones", xpnn.to_numpy(found.deltas[0])[0].round(4))
ax = plot.network(found)

# %%
# The gradient of a weight is the delta of the neuron that it leads to, times what comes in
# through it. Written out for the weight from the first hidden neuron to the output, with all its
# factors, and for the first hidden weight:

print(found.chain(1, (0, 0)))
print(found.chain(0, (0, 0)))

# %%
# A step of 0.5 against the gradient takes that weight from 0.3 to 0.25:

stepped = found.step(0.5)
new_weight = float(stepped["weight_1"][0, 0])
print(f"0.3 - 0.5 * {float(found.gradients['weight_1'][0, 0]):.4f} = {new_weight:.4f}")
after = backpropagate(network, stepped, [[1, 0, 1]], [[0]], device=DEVICE)
print(f"error before {found.loss:.5f}, after {after.loss:.5f}")

# %%
# All of it as matrices
# ---------------------
#
# A layer is one product. Forward ``a = f(x @ W)``; back ``delta = error * slope`` and ``gradient
# = inputs.T @ delta``, and what reaches the layer below is ``delta @ W.T``. Six lines, and they
# work for any number of rows.

x, y = np.asarray([[1.0, 0, 1]]), np.asarray([[0.0]])
h = sigmoid(x @ hidden)
o = sigmoid(h @ output)
delta_out = (o - y) * o * (1 - o)
delta_hidden = (delta_out @ output.T) * h * (1 - h)
gradient_out, gradient_hidden = h.T @ delta_out, x.T @ delta_hidden
own = [xpnn.to_numpy(found.gradients[name]) for name in ("weight_0", "weight_1")]
difference = max(abs(gradient_hidden - own[0]).max(), abs(gradient_out - own[1]).max())
print("largest difference from backpropagate:", f"{difference:.1g}")

# %%
# Until the table is right
# ------------------------
#
# The same step, all eight rows at once, again and again. Both layers get biases, there are four
# hidden neurons, with tanh, and the loss is the cross-entropy, whose slope does not vanish where
# an output is sure and wrong.

larger = Network((Dense(3, 4, "tanh"), Dense(4, 1)), link="sigmoid")
start, _ = larger.init(seed=0)
trace = gradient_descent(
    larger, start, rows, targets, loss="cross_entropy", learning_rate=1.0, steps=300, device=DEVICE
)
outputs = xpnn.to_numpy(trace.predict(rows))
for row, target, out in zip(rows.astype(int), targets, outputs, strict=True):
    print(*row, " F", int(target[0]), f" network {out[0]:.3f}")
wrong = int(((outputs > 0.5) != (targets > 0.5)).sum())
print("wrong rows:", wrong)
ax = plot.learning_curve(trace)

# %%
# The weights that it came to: the wider a line, the larger the weight; those below zero are
# dashed.

ax = plot.network(trace)
plt.show()
