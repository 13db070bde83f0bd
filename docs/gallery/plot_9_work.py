"""
9. From lesson to work
======================

Everything together on handwritten digits: split, scale, train, predict, look at the mistakes.
First with what these lessons built, then in four lines with ``MLPClassifier``.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

import xpnn
from xpnn import Dense, MLPClassifier, Network, plot
from xpnn.neurons import gradient_descent

DEVICE = "numpy"
# sphinx_gallery_thumbnail_number = 2

# %%
# Split and scale
# ---------------
#
# A quarter of the digits is set aside: what counts is how well the network does on digits that it
# has not seen. The pixels are numbers from 0 to 16; divided by 16 they are from 0 to 1, about as
# large as the weights. Numbers of 32 bits are enough, and every device has them.

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
print(len(X_train), "digits to learn from,", len(X_test), "to be tested on")

# %%
# Train
# -----
#
# 64 pixels, 32 ReLU neurons, 10 outputs, of which softmax makes probabilities. The loss is the
# cross-entropy of classes, the optimizer Adam, and each step takes all rows.

net = Network((Dense(64, 32, "relu"), Dense(32, 10)), link="softmax")
weights, _ = net.init(seed=0)
about = {"loss": "cross_entropy", "optimizer": "adam", "learning_rate": 0.02, "steps": 120}
trace = gradient_descent(net, weights, X_train, y_train, **about, device=DEVICE)
ax = plot.learning_curve(trace)

# %%
# Predict, and look
# -----------------
#
# The class of the largest probability is the answer. The picture counts digits by what they are
# and what they were taken for: beside the diagonal are the mistakes.

probability = xpnn.to_numpy(trace.predict(X_test))
predicted = probability.argmax(axis=1)
accuracy = accuracy_score(y_test, predicted)
print(f"{accuracy:.1%} right")
ax = plot.confusion(y_test, predicted)

# %%
# The network was least sure of these, of those that it got wrong:

wrong = np.flatnonzero(predicted != y_test)
wrong = wrong[np.argsort(probability[wrong].max(axis=1))][:6]
figure, axes = plt.subplots(2, 3, figsize=(5.6, 4.4), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
for ax, i in zip(axes.flat, wrong, strict=False):
    ax.imshow(X_test[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{y_test[i]}, taken for {predicted[i]}", fontsize=10)

# %%
# And what the first neurons look for: bright (yellow) pixels excite, dark (blue) ones inhibit.

ax = plot.weights(trace)

# %%
# The same at work
# ----------------
#
# ``MLPClassifier`` does all of that, in batches, with dropout, and takes strings as labels,
# sparse matrices, tables and arrays of any device.

model = MLPClassifier(dropout=0.2, tol=1e-3, max_iter=300, random_state=0, device=DEVICE)
model.fit(X_train, y_train)
score = model.score(X_test, y_test)
print(f"{score:.1%} right after {model.n_iter_} epochs")
ax = plot.learning_curve(model)
plt.show()
