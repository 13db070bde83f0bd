"""What the `xpnn` command does, between its options and the estimators."""
