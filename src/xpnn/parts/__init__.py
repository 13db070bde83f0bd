"""Activations, losses, initializers, schedules, optimizers, metrics: one entry each."""
