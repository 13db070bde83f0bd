"""The perceptron estimator and its epochs."""
