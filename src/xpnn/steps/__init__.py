"""One training step: the reference, and faster versions of it for single libraries."""
