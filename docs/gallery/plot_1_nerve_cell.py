"""
1. From a nerve cell to a threshold
===================================

A nerve cell collects signals, adds them up, and fires when there are enough of them. Everything
that follows in these lessons is built from that one idea. Here it becomes arithmetic: weights, a
sum, a threshold.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

import xpnn
from xpnn import plot
from xpnn.neurons import (
    Circuit,
    McCullochPitts,
    ThresholdUnit,
    add_constant,
    and_gate,
    nand_gate,
    not_gate,
    or_gate,
    truth_table,
)

DEVICE = "numpy"

# %%
# The cell and its model
# ----------------------
#
# Signals arrive at the **dendrites**. The cell body, the **soma**, adds what they bring, and some
# synapses bring more than others. If the sum is large enough the cell fires, and the **axon**
# carries one signal to other cells. The model has the same parts: inputs, a weight for each, a
# sum, and a step that says yes or no.


def draw_cell(ax):
    """A nerve cell, simplified: dendrites on the left, the soma, the axon to the right."""
    line = {"color": "#1f5fa8", "solid_capstyle": "round"}
    for y in (1.0, 0.0, -1.0):
        ax.plot([-0.9, 1.5], [y, 0.2 * y], lw=3, **line)
        for up in (0.22, -0.22):
            ax.plot([-1.4, -0.9], [y + up, y], lw=2, **line)
    ax.add_patch(Circle((1.9, 0.0), 0.5, fc="#dbe7f5", ec="#1f5fa8", lw=2))
    ax.plot([2.4, 4.6], [0, 0], lw=4, **line)
    for y in (0.45, 0.0, -0.45):
        ax.plot([4.6, 5.2], [0, y], lw=2, **line)
        ax.plot([5.2], [y], "o", ms=7, color="#1f5fa8")
    style = {"ha": "center", "fontsize": 11}
    ax.text(-0.5, 1.45, "dendrites: inputs", **style)
    ax.text(1.9, -0.85, "soma: sum", **style)
    ax.text(3.9, 0.45, "axon: output", **style)
    ax.set(xlim=(-1.6, 5.4), ylim=(-1.6, 1.8), aspect="equal")
    ax.axis("off")


draw_cell(plt.subplots(figsize=(5.6, 2.9), layout="constrained")[1])
ax = plot.neuron(ThresholdUnit((2, 1, 0.5), threshold=1000))

# %%
# McCulloch and Pitts: logic out of neurons
# -----------------------------------------
#
# The neuron of 1943 has inputs that are 0 or 1, the same weight for each, and a threshold. With
# two inputs and the threshold 2 it computes AND; with the threshold 1, OR. An inhibitory input
# silences it, which gives NOT. In the pictures it fires in the blue part. Of all the lines that
# compute the same, the one in the middle is drawn: it leaves the points most room.

print("and_gate", and_gate())
print("or_gate ", or_gate())
print("not_gate", not_gate())
print("AND of 1 and 1 is", and_gate()(1, 1))
for name, gate in (("AND", and_gate()), ("OR", or_gate()), ("NOT", not_gate())):
    print(f"\n{name}\n{truth_table(gate, device=DEVICE)}")

for name, gate in (("AND", and_gate()), ("OR", or_gate())):
    plot.gate(gate).set_title(name)

# %%
# Any truth table is a circuit
# ----------------------------
#
# One neuron draws one line, and some tables need more than one. Neurons in layers compute any
# table: one neuron for each row that is to be 1, and an OR of them. Exclusive or takes two
# neurons and an AND. The rows that are 1 are blue.

xor = Circuit(2, [[or_gate(), nand_gate()], [and_gate()]])
print(xor)
majority = Circuit.of_truth_table([0, 0, 0, 1, 0, 1, 1, 1])
xor_table, majority_table = (truth_table(c, device=DEVICE) for c in (xor, majority))
print(f"\n{xor_table}\n\n{majority_table}")

for title, circuit in (("exclusive or", xor), ("at least two of three", majority)):
    plot.truth_table(circuit).set_title(title)

# %%
# Weights: not every input counts alike
# -------------------------------------
#
# Is the animal large? Say its weight in kilograms counts 2, its height in metres 1 and its length
# 0.5. The sum of one that weighs 1000, is 5 high and 2 long, is 2 * 1000 + 1 * 5 + 0.5 * 2 =
# 2006.

animals = xpnn.get_backend(DEVICE).asarray(np.asarray([[1000.0, 5, 2], [200, 3, 1], [30, 2, 2]]))
unit = ThresholdUnit((2, 1, 0.5), threshold=1000)
sums, large = unit.sums(animals), unit(animals)
print(unit)
print("sums ", xpnn.to_numpy(sums))
print("large", xpnn.to_numpy(large))

ax = plot.neuron(unit, [1000, 5, 2], names=["weight", "height", "length"])

# %%
# The threshold is a weight too
# -----------------------------
#
# "The sum reaches 1000" says the same as "the sum minus 1000 reaches 0". So the threshold can be
# one more weight, -1000, of an input that is always 1: the **bias**. From now on what is learned
# is weights alone.

with_bias = unit.with_bias_trick()
print(with_bias)
print("inputs", xpnn.to_numpy(add_constant(animals))[0], "with weights", with_bias.weights)
same = with_bias(add_constant(animals))
print("large ", xpnn.to_numpy(same))

but_not = McCullochPitts((0,), threshold=1, inhibitory=(1,))
print("\nx1 but not x2:", but_not)
print(truth_table(but_not, device=DEVICE))
plt.show()
