"""Callbacks: what stops, keeps, logs and draws a training; each a file, imported when used."""
