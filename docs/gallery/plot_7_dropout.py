"""
7. Dropout
==========

A large network on few examples learns them by heart. Dropout makes that hard: in each step it
silences units at random, so that none can rely on its neighbours. Here it is by hand, and then in
a training.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import xpnn
from xpnn import Dense, Network, plot
from xpnn.neurons import backpropagate, gradient_descent, mask_layer

DEVICE = "numpy"
# sphinx_gallery_thumbnail_number = 3

# %%
# A mask on a layer
# -----------------
#
# Ten outputs of a layer, and a mask that keeps half of them. What is kept is divided by the
# probability of being kept, here 0.5: it is doubled. Backwards the same mask acts with the same
# factor: a silenced neuron has no part in the error.

layer = [0.5, 2, 4, 0.6, 0.11, 0.43, 0.67, 0.78, 0.3, 0.8]
mask = [1, 1, 0, 0, 1, 1, 0, 0, 1, 0]
masked = mask_layer(layer, mask, 0.5, deltas=np.arange(1.0, 11.0), device=DEVICE)
print(masked)
ax = plot.dropout_mask(mask)

# %%
# Why divide
# ----------
#
# In prediction nothing is silenced, and the next layer should get what it is used to. With the
# factor ``1 / (1 - rate)`` the mean over many masks is what the layer gives without one:

weights = np.linspace(-1, 1, 10)
rng = np.random.default_rng(0)
masks = rng.uniform(size=(20000, 10)) < 0.5
sums = (np.asarray(layer) * masks / 0.5) @ weights
print(f"sum of the next neuron without dropout {np.asarray(layer) @ weights:.4f}")
print(f"mean over 20,000 masks                 {sums.mean():.4f}")
print(f"without the factor it would be         {0.5 * sums.mean():.4f}")

# %%
# The same in a network: ``backpropagate`` tells the masks that it drew. White is kept, dark is
# silenced; every row has a mask of its own.

net = Network((Dense(2, 40, "relu", dropout=0.5), Dense(40, 1)))
theta, _ = net.init(seed=0)
passed = backpropagate(net, theta, rng.standard_normal((12, 2)), np.zeros(12), device=DEVICE)
drawn = xpnn.to_numpy(passed.masks[0])
silent = xpnn.to_numpy(passed.deltas[0])[drawn == 0]
print("values of the mask", np.unique(drawn), "| deltas of silent units", np.unique(silent))
ax = plot.dropout_mask(passed.masks[0])

# %%
# Two trainings
# -------------
#
# 150 handwritten digits to learn from, of which about a fifth have a random label, and 400 others,
# with the right ones, to look at. Without dropout the network learns the wrong labels too: the loss
# of the other digits falls, and then it rises. With dropout (half of the hidden units, a fifth of
# the pixels) it stays low.

X, y = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(X))[:550]
X, y = X[order] / 16, y[order]
wrong = rng.uniform(size=150) < 0.2
labels = np.where(wrong, rng.integers(0, 10, 150), y[:150])
curves, right = {}, {}
for name, rates in (("without dropout", (0.0, 0.0)), ("with dropout", (0.5, 0.2))):
    net = Network((Dense(64, 48, "relu", dropout=rates[0]), Dense(48, 10)), rates[1], "softmax")
    state, _ = net.init(seed=0)
    curves[name] = []
    for part in range(30):  # ten steps each, from where the last ones ended
        about = {"loss": "cross_entropy", "device": DEVICE}
        state = gradient_descent(
            net, state, X[:150], labels, learning_rate=0.8, steps=10, seed=part, **about
        )
        other = backpropagate(net, state, X[150:], y[150:], train=False, **about)
        curves[name].append(other.loss)
    found = xpnn.to_numpy(state.predict(X[150:])).argmax(axis=1)
    right[name] = float((found == y[150:]).mean())
    lowest, last = min(curves[name]), curves[name][-1]
    print(f"{name:15} lowest loss {lowest:.3f}, at the end {last:.3f}, {right[name]:.1%} right")
ax = plot.learning_curve(curves)
ax.set(xlabel="tens of steps", ylabel="loss of other digits")
plt.show()
