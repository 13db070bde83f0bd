"""A network, its gradient and its training in plain float64 NumPy, written independently."""

import math

import numpy as np
from scipy import special

ONES = 0xFFFFFFFF
SELU = (1.0507009873554805, 1.6732632423543772)


def threefry(key, counter):
    """Threefry-2x32-20 as the paper writes it, on Python integers."""
    words = [*key, 0x1BD11BDA ^ key[0] ^ key[1]]
    x, y = (counter[0] + words[0]) % 2**32, (counter[1] + words[1]) % 2**32
    rotations = [[13, 15, 26, 6], [17, 29, 16, 24]]
    for block in range(5):
        for r in rotations[block % 2]:
            x = (x + y) % 2**32
            y = int(f"{y:032b}"[r:] + f"{y:032b}"[:r], 2) ^ x
        s = block + 1
        x, y = (x + words[s % 3]) % 2**32, (y + words[(s + 1) % 3] + s) % 2**32
    return x, y


def step_key(seed, step, layer):
    return threefry((seed >> 32, seed & ONES), (step, layer))


def mask(key, first_row, rows, units, rate):
    """Multipliers of inverted dropout."""
    kept = max(1, round((1 - rate) * 2**16))
    result = np.zeros((rows, units))
    for i in range(rows):
        for j in range(0, units, 4):
            a, b = threefry(key, (first_row + i, j // 4))
            draws = [a % 2**16, a >> 16, b % 2**16, b >> 16]
            for k, draw in enumerate(draws[: units - j]):
                result[i, j + k] = 65536 / kept if draw < kept else 0.0
    return result


ACTIVATION = {
    "identity": lambda z: z,
    "step": lambda z: np.heaviside(z, 1.0),
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1),
    "selu": lambda z: SELU[0] * np.where(z > 0, z, SELU[1] * (np.exp(np.minimum(z, 0)) - 1)),
    "gelu": lambda z: z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * special.expit(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "softplus": lambda z: np.logaddexp(0, z),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "exp": np.exp,
    "softmax": lambda z: special.softmax(z, axis=1),
    "log_softmax": lambda z: special.log_softmax(z, axis=1),
}
SLOPE = {
    "identity": lambda z: np.ones_like(z),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "sigmoid": lambda z: special.expit(z) * special.expit(-z),
}


def forward(weights, biases, activations, x, masks=None):
    """Raw outputs; `masks` are multipliers of the input and of each layer's output, or None."""
    masks = masks or [None] * (len(weights) + 1)
    a = x if masks[0] is None else x * masks[0]
    for w, b, name, m in zip(weights, biases, activations, masks[1:], strict=True):
        a = ACTIVATION[name](np.einsum("ni,ij->nj", a, w) + (0 if b is None else b))
        a = a if m is None else a * m
    return a


def gradients(weights, biases, activations, x, masks, output_gradient):
    """Gradients of weights and biases by the chain rule, for the activations of SLOPE."""
    inputs, slopes = [x if masks[0] is None else x * masks[0]], []
    for w, b, name, m in zip(weights, biases, activations, masks[1:], strict=True):
        z = inputs[-1] @ w + b
        factor = 1.0 if m is None else m
        inputs.append(ACTIVATION[name](z) * factor)
        slopes.append(SLOPE[name](z) * factor)
    delta = output_gradient(inputs[-1])
    dw, db = [], []
    for i in reversed(range(len(weights))):
        delta = delta * slopes[i]
        dw.insert(0, inputs[i].T @ delta)
        db.insert(0, delta.sum(axis=0))
        delta = delta @ weights[i].T
    return dw, db


def cross_entropy(z, labels, weight=None):
    """Weighted mean of -log p, and its gradient with respect to the logits."""
    w = np.ones(len(z)) if weight is None else weight
    w = w / w.sum()
    rows = np.arange(len(z))
    p = special.softmax(z, axis=1)
    onehot = np.zeros_like(p)
    onehot[rows, labels] = 1.0
    return -(w * special.log_softmax(z, axis=1)[rows, labels]).sum(), w[:, None] * (p - onehot)


def half_squares(z, target, weight=None):
    """Weighted mean of half the squared distance, and its gradient."""
    w = np.ones(len(z)) if weight is None else weight
    w = w / w.sum()
    return (w * ((z - target) ** 2).sum(axis=1)).sum() / 2, w[:, None] * (z - target)
