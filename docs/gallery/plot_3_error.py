"""
3. Error and learning
=====================

The perceptron knows right and wrong and nothing between. To learn better, measure *how* wrong an
output is, and ask which change of a weight makes that smaller. This lesson measures errors, walks
down by trying, and then by the slope.
"""

import matplotlib.pyplot as plt
import numpy as np

from xpnn import Dense, Network, plot
from xpnn.neurons import delta_rule, error_measures, hot_and_cold

DEVICE = "numpy"
# sphinx_gallery_thumbnail_number = 2

# %%
# Measures of the same outputs
# ----------------------------
#
# Four outputs were to be 2, 3, 5 and 9 and are 1, 5, 3 and 6. The cross-entropy is of
# probabilities; these are none.

measures = error_measures([2, 3, 5, 9], [1, 5, 3, 6], device=DEVICE)
print(measures)

# %%
# The signed sum is 1 - 2 + 2 + 3 = 4: the -2 and the 2 cancel, although both outputs are wrong by
# 2. With other numbers it is 0 for outputs that are all wrong:

cancelled = error_measures([2, 3], [3, 2], device=DEVICE)
print("signed", cancelled.signed, "absolute", cancelled.absolute)

# %%
# So the sign has to go, by the absolute value or by a square. Half the square has the simplest
# slope, the difference itself. Where outputs are probabilities, the cross-entropy says how
# surprised they are by the truth: a sure output that is wrong costs most.

for outputs in ([0.9, 0.2, 0.6], [0.6, 0.4, 0.5], [0.1, 0.2, 0.6]):
    found = error_measures([1, 0, 1], outputs, device=DEVICE)
    print(outputs, f"cross-entropy {found.cross_entropy:.4f}, squared {found.squared:.4f}")

# %%
# The absolute value is a V, the square a parabola. A square makes small errors smaller and large
# ones larger: 0.2 squared is 0.04 (a text in print has 0.4), and 3 squared is 9. And its slope
# says how far there is to go: it is flat at the bottom, where the V is as steep as everywhere.

error = np.linspace(-2, 2, 201)
figure, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
ax.plot(error, np.abs(error), color="#d2691e", ls="--", lw=2, label="absolute")
ax.plot(error, error**2, color="#1f5fa8", lw=2, label="squared")
ax.set(xlabel="target - output", ylabel="error")
ax.spines[["top", "right"]].set_visible(False)
_ = ax.legend(frameon=False)

# %%
# Hot and cold
# ------------
#
# One weight, one input, one target. Try the weight a little larger and a little smaller, and keep
# what is best. It works, at three evaluations a step, and ends as close as a whole number of
# steps can come.

tried = hot_and_cold(0.5, 0.5, 0.8, step=0.001, steps=1101, device=DEVICE)
print(tried)

# %%
# The delta rule
# --------------
#
# The slope of half the squared error is ``(output - target) * input``. It says in which direction
# to go, and its size says how far: ``weight -= (output - target) * input``. From 0.2 at the input
# 0.4 towards 0.7, with the squared error before each step; each step is the same share of what
# is left:

trace = delta_rule(0.4, 0.2, 0.7, device=DEVICE)
print(trace)
net = Network((Dense(1, 1, bias=False),))
visited = [0.2, *trace.weights]
ax = plot.loss_surface(net, [1.75], [0.4], [0.7], loss="squared_error", visited=visited)
_ = ax.set(ylabel="squared error")

# %%
# A learning rate in front makes steps shorter or longer. Too small a rate is slow; a larger one
# overshoots and comes back from the other side; from 2 / 0.4**2 = 12.5 on every step overshoots
# by more than it corrects.

rates = {"too small (0.1)": 0.1, "as it is (1)": 1.0, "right (5)": 5.0, "too large (13)": 13.0}
traces = {
    name: delta_rule(0.4, 0.2, 0.7, learning_rate=rate, device=DEVICE)
    for name, rate in rates.items()
}
for name, found in traces.items():
    print(f"{name:16} error before the last of 20 steps {found.errors[-1]:.3g}")
ax = plot.learning_curve(traces)
_ = ax.set_ylim(1e-4, 20)  # the right one is soon below

# %%
# Several inputs share the blame: each weight moves in proportion to its input.

several = delta_rule([0.5, -1.0, 2.0], [0.1, 0.2, 0.3], 0.7, learning_rate=0.1, device=DEVICE)
print(several)

# %%
# Which way to go
# ---------------
#
# On ``y = x**2`` the slope at 4 is 8: y rises to the right, so go left. At -4 it is -8: go right.
# Against the slope it goes down, on either side.

ax = plot.tangent(lambda x: x * x, [4, -4])
plt.show()
