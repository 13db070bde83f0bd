"""Activation functions: by name, and of one's own."""

from xpnn.parts.activation_notes import NOTES as NOTES
from xpnn.parts.activation_notes import Note as Note
from xpnn.parts.activation_notes import activation_table as activation_table
from xpnn.parts.activations import *  # noqa: F403

__all__ = ["ACTIVATIONS", "NOTES", "Activation", "Note", "activation_table", "get_activation"]  # noqa: F405
