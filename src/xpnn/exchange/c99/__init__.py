"""Fitted estimators as one file of C99 without dependencies."""
