"""Estimators for tables, good by default: members of one network are the folds of the rows."""
