"""
2. The perceptron
=================

A threshold unit whose weights nobody sets: it is shown examples and corrects itself where it is
wrong. This lesson follows the rule epoch by epoch, sees it fail where it must, and counts how
many mistakes it can make at the most.
"""

import matplotlib.pyplot as plt

from xpnn import plot
from xpnn.neurons import Circuit, and_gate, perceptron_rule, truth_table

DEVICE = "numpy"
# sphinx_gallery_thumbnail_number = 2
PAIRS = [[0, 0], [0, 1], [1, 0], [1, 1]]

# %%
# A step
# ------
#
# The output is 1 where the weighted sum reaches 0, and 0 below. The threshold is already in the
# sum, as the bias.

ax = plot.activation("step")

# %%
# The rule on AND
# ---------------
#
# All weights begin at zero. For each example in turn: compute the output, and add ``(target -
# output) * input`` to the weights. If the output is right, nothing changes. If it is 1 and should
# be 0, the inputs that are on lose; if it is 0 and should be 1, they gain. The bias belongs to an
# input that is always 1. A sum of exactly 0 fires.

report = perceptron_rule(PAIRS, [0, 0, 0, 1], device=DEVICE)
for epoch, (weights, mistakes) in enumerate(zip(report.history, report.mistakes, strict=True), 1):
    print(f"after epoch {epoch}: {mistakes} mistakes, weights {[int(w) for w in weights]}")
learned = [int(w) for w in report.weights]
print("\nlearned, bias first:", learned)
print(report)

# %%
# Each set of weights is a line: on it and on one side of it the unit fires. Here it is after each
# epoch, the later the darker.

ax = plot.gate(report, epochs=True)

# %%
# OR, NAND, NOR
# -------------
#
# The same rule, other targets. Written as -1 and 1 instead of 0 and 1, the targets give the same
# weights.

gates = {"OR": [0, 1, 1, 1], "NAND": [1, 1, 1, 0], "NOR": [1, 0, 0, 0]}
reports = {name: perceptron_rule(PAIRS, targets, device=DEVICE) for name, targets in gates.items()}
for name, found in reports.items():
    weights = [int(w) for w in found.weights]
    print(f"{name:4} {weights} after {found.epochs} epochs: {found.boundary}")
    plot.gate(found).set_title(name)
signs = perceptron_rule(PAIRS, [-1, 1, 1, 1], device=DEVICE)
print("OR with targets -1 and 1:", [int(w) for w in signs.weights])

# %%
# Exclusive or
# ------------
#
# No line has (0, 1) and (1, 0) on one side and the two other points on the other side. So the
# rule goes round in circles: the mistakes never stop, however long it runs.

xor = perceptron_rule(PAIRS, [0, 1, 1, 0], max_epochs=30, device=DEVICE)
print(xor)
ax = plot.learning_curve({"AND": report, "exclusive or": xor})

# %%
# Two lines can do what one cannot. A layer of two units, OR and NAND, both learned above, and an
# AND of what they say, which fires between the lines:

circuit = Circuit(2, [[reports["OR"], reports["NAND"]], [and_gate()]])
table = truth_table(circuit, device=DEVICE)
print(table)
ax = plot.gate(circuit)

# %%
# Which weights a layer in the middle should have, the rule cannot say: it needs a target for each
# unit. That is what lessons 4 and 5 are about.
#
# Any learning rate, and a bound on mistakes
# ------------------------------------------
#
# A learning rate in front of the correction only scales the weights, as they begin at zero: the
# line is the same, and so are the mistakes.

for eta in (0.25, 1.0, 8.0):
    scaled = perceptron_rule(PAIRS, [0, 0, 0, 1], eta=eta, device=DEVICE)
    print(f"rate {eta:<4g} weights {scaled.weights}, mistakes {sum(scaled.mistakes)}")

# %%
# Novikoff proved in 1962 that the rule makes at most ``(R / margin)**2`` mistakes where a line
# exists: R is the length of the longest input (with its constant 1), the margin the room that the
# best line leaves. The more room, the fewer.

for name, found in {"AND": report, **reports}.items():
    print(f"{name:4} mistakes {sum(found.mistakes):2}, at most {found.bound:.0f}")
plt.show()
