"""The training loop and what it goes by: state, data, callbacks, L-BFGS."""
