"""Model files and checkpoints: written whole or not at all, and nothing in them can run."""
