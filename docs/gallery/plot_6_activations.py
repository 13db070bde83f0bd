"""
6. Activations
==============

Without something bent between them, two layers are no more than one: a sum of sums is a sum. The
activation is what bends. This page shows all that xpnn has, from the one table in its code; a
test compares each formula with the function.
"""

import matplotlib.pyplot as plt
import numpy as np

import xpnn
from xpnn import Dense, Network, plot
from xpnn.activations import ACTIVATIONS, activation_table

DEVICE = "numpy"
# sphinx_gallery_thumbnail_number = 3

# %%
# Why bend at all
# ---------------
#
# Two layers without an activation, and the one layer that does the same:

backend = xpnn.get_backend(DEVICE)
two = Network((Dense(3, 5), Dense(5, 2)))
theta, buffers = two.init(seed=0)
parts = two.layout.split(theta, np)
product = parts["weight_0"] @ parts["weight_1"]
x = np.random.default_rng(0).standard_normal((4, 3))
moved = [
    backend.asarray(a, "float64" if "float64" in backend.dtypes else "float32")
    for a in (theta, buffers, x)
]
with backend.device_context():
    through_two = xpnn.to_numpy(two.forward(*moved, backend.xp))
difference = float(np.abs(through_two - x @ product).max())
print("largest difference between two layers and one:", f"{difference:.0e}")

# %%
# All of them
# -----------
#
# z is the weighted sum, a the output. The derivative is what backpropagation multiplies with:
# where it is 0, nothing is learned. The sigmoid's is at most 1/4, so behind a few of them little
# is left of the error; ReLU's is 1 wherever it is not 0, and that is why deep networks use it and
# its relatives.

print(activation_table())

# %%
# Each one's value (solid) and derivative (dashed). Softmax and its logarithm are missing: each of
# their outputs depends on all sums, so they are no curves.

names = [n for n, f in ACTIVATIONS.items() if f.pullback is None or f.derivative is not None]
axes = [plot.activation(name) for name in names]
for ax, name in zip(axes, names, strict=True):
    ax.set_title(name)

# %%
# What is left of the error
# -------------------------
#
# A gradient that goes back through ten layers is multiplied by ten slopes. The sigmoid's are 1/4
# at the most:

for name in ("sigmoid", "tanh", "relu"):
    f = ACTIVATIONS[name]
    z = np.asarray([[0.5]])
    slope = float(f.derivative(z, f(z, np), np)[0, 0])
    print(f"{name:8} slope {slope:.3f} at 0.5, after ten layers {slope**10:.2g}")
plt.show()
