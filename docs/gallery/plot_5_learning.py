"""
5. Networks that learn
======================

Four networks learn in four ways: one example at a time, all at once with a hundred thousand
weights, with an activation of one's own, and by mere chance, which shows what the gradient is
worth.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import xpnn
from xpnn import Activation, Dense, Network, plot
from xpnn.neurons import gradient_descent, hill_climbing

DEVICE = "numpy"
# sphinx_gallery_thumbnail_number = 5

# %%
# One example at a time
# ---------------------
#
# Three inputs, two sigmoid neurons, one linear output, steps of 0.01 towards 0.3. Its first
# output is far off, and each step takes away a small share of the error. A listing in print
# promises 0.2977 after 25 steps; with its rate it takes about a thousand.

small = Network((Dense(3, 2, "sigmoid", bias=False), Dense(2, 1, bias=False)))
start = np.random.default_rng(0).uniform(-0.1, 0.1, small.layout.size)
about = {"learning_rate": 0.01, "online": True, "device": DEVICE}
online = gradient_descent(small, start, [[0.1, 0.2, 0.1]], [[0.3]], steps=1500, **about)
outputs = 0.3 - np.sqrt(2 * np.asarray(online.errors))  # the error is half the square
reached = int(np.argmax(outputs >= 0.2977))
print(f"after 25 steps {outputs[25]:.4f}, after {reached} steps {outputs[reached]:.4f}")
print("at the end", round(online.predict(0.1, 0.2, 0.1), 4))
ax = plot.learning_curve(online)

# %%
# A hundred thousand weights at once
# ----------------------------------
#
# 1000 inputs, 100 ReLU neurons, one output; 64 examples of noise with answers of noise. The loss is
# the sum of squares, which begins in the millions, so the rate is a millionth. The first steps
# still overshoot; then it falls, and goes on to fall. There is nothing to understand here: with so
# many weights the network learns the examples by heart.

wide = Network((Dense(1000, 100, "relu", bias=False), Dense(100, 1, bias=False)))
rng = np.random.default_rng(0)
theta = rng.standard_normal(wide.layout.size)
x, y = rng.standard_normal((64, 1000)), rng.standard_normal((64, 1))
by_heart = gradient_descent(
    wide, theta, x, y, loss="sum_squared_error", learning_rate=1e-6, steps=300, device=DEVICE
)
for step in (0, 10, 50, 100, 299):
    print(f"step {step:3}: sum of squares {by_heart.errors[step]:.4g}")
ax = plot.learning_curve(by_heart)

# %%
# Biases, and an activation of one's own
# --------------------------------------
#
# An activation is a function and its derivative. Here is a sine, beside tanh, on three inputs,
# four neurons and one output with biases, and half the squared error. The task is the parity of
# three bits: whether their number is odd.


def sine(z, xp):
    """The value; xp is the array library that it runs on."""
    return xp.sin(z)


def sine_slope(z, a, xp):
    """The derivative at z, where the value is a."""
    return xp.cos(z)


bits = [[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
parity = [sum(row) % 2 for row in bits]
traces = {}
for activation in (Activation("sine", sine, sine_slope), "tanh"):
    net = Network((Dense(3, 4, activation), Dense(4, 1)))
    weights, _ = net.init(seed=1)
    found = gradient_descent(
        net, weights, bits, parity, learning_rate=0.5, steps=400, device=DEVICE
    )
    traces[net.layers[0].activation.name] = found
    right = int((np.round(xpnn.to_numpy(found.predict(bits))[:, 0]) == parity).sum())
    print(
        f"{net.layers[0].activation.name:5} {right} of 8 rows right, error {found.errors[-1]:.2g}"
    )
plot.activation((sine, sine_slope))
ax = plot.learning_curve(traces)

# %%
# By chance
# ---------
#
# Shift all weights at random; if the error falls, keep them, else try the opposite shift. That
# needs no calculus, and with few weights it works. The gradient knows the direction at once. Both
# cost two passes through the network a step.

pairs, xor = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
net = Network((Dense(2, 4, "tanh"), Dense(4, 1)))
weights, _ = net.init(seed=0)
began = time.perf_counter()
descended = gradient_descent(net, weights, pairs, xor, learning_rate=0.5, steps=600, device=DEVICE)
middle = time.perf_counter()
climbed = hill_climbing(net, weights, pairs, xor, steps=600, device=DEVICE)
ended = time.perf_counter()
for name, found, seconds in (
    ("backpropagation", descended, middle - began),
    ("chance", climbed, ended - middle),
):
    needed = found.evaluations_to(0.01)
    print(f"{name:15} {needed} evaluations to an error of 0.01; 600 steps in {seconds:.2f} s")
ax = plot.learning_curve({"backpropagation": descended, "chance": climbed})

# %%
# Here chance is not far behind: 17 weights are few. In the network with a hundred thousand, a
# random direction is almost at a right angle to the one that helps, and the same number of steps
# hardly moves the error:

lost = hill_climbing(
    wide, theta, x, y, loss="sum_squared_error", spread=0.01, steps=41, device=DEVICE
)
print(f"after 40 steps by chance    {lost.errors[-1] / lost.errors[0]:.2f} of the error is left")
print(f"after 40 steps by gradient  {by_heart.errors[40] / by_heart.errors[0]:.2g}")
plt.show()
