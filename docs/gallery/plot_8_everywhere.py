"""
8. The same network everywhere
==============================

One seed is one network: on NumPy, CuPy, PyTorch and JAX, on a laptop and on a graphics card. This
lesson trains it wherever it can, and compares.
"""

import matplotlib.pyplot as plt
import numpy as np

import xpnn
from xpnn import Dense, MLPClassifier, Network, plot
from xpnn.neurons import backpropagate

DEVICE = "numpy"
OTHERS = ["torch:cpu", "jax:cpu", "cupy:0"]

# %%
# Who is here
# -----------
#
# What is not installed, or has no device, is left out; ``xpnn devices`` says why.


def usable(spec):
    """Whether a library is installed and its device works."""
    try:
        xpnn.get_backend(spec)
    except xpnn.DeviceError:
        print("not here:", spec)
        return False
    return True


places = [DEVICE, *(spec for spec in OTHERS if spec != DEVICE and usable(spec))]
print("compared:", ", ".join(places))

# %%
# Masks, bit by bit
# -----------------
#
# Weights and the order of the rows are drawn once, on the host. Dropout masks are drawn where
# they are used, from a counter: the step, the layer, the row and the unit say which bit it is. So
# they are equal to the bit, however fast the device and however the rows are split.

net = Network((Dense(8, 32, "relu", dropout=0.5), Dense(32, 3)))
theta, _ = net.init(seed=7)
x = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
passes = {
    spec: backpropagate(net, theta, x, [0, 1, 2, 0, 1, 2], loss="cross_entropy", device=spec)
    for spec in places
}
masks = {spec: xpnn.to_numpy(found.masks[0]) for spec, found in passes.items()}
equal = all(np.array_equal(mask, masks[DEVICE]) for mask in masks.values())
print("masks equal to the bit:", equal)
ax = plot.dropout_mask(masks[DEVICE])

# %%
# Weights, up to rounding
# -----------------------
#
# Sums are added in another order by another library, so the last digits differ; a training of
# five epochs makes a little more of it. What a device changes is the time, and these last digits.
# It does not change the network, the order of the rows, or the masks.

rng = np.random.default_rng(1)
X = rng.standard_normal((120, 8)).astype(np.float32)
y = (X[:, 0] * X[:, 1] > 0).astype(int)
models = {}
for spec in places:
    model = MLPClassifier((32,), dropout=0.5, batch_size=40, random_state=7, device=spec)
    for _ in range(5):
        model.partial_fit(X, y, classes=[0, 1])
    models[spec] = model
differences = {}
for spec, model in models.items():
    pairs = zip(model.coefs_, models[DEVICE].coefs_, strict=True)
    differences[spec] = max(
        float(np.abs(xpnn.to_numpy(a) - xpnn.to_numpy(b)).max()) for a, b in pairs
    )
    same = int((xpnn.to_numpy(model.predict(X)) == xpnn.to_numpy(models[DEVICE].predict(X))).sum())
    print(f"{spec:12} weights differ by {differences[spec]:.1e}, same answers {same} of 120")

# %%
# A model moves, too: trained on one device, it predicts on another. Here is its network; of 32
# hidden neurons the first and the last ones are drawn.

moved = models[places[-1]].to_device("numpy")
print("moved to NumPy, it predicts", moved.predict(X[:5]))
ax = plot.network(moved)
plt.show()
