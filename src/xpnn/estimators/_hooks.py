"""Private methods of scikit-learn's networks that users override: here nobody calls them."""

from xpnn._warnings import warn_user

_WEIGHTS = "pass initializer=, or assign coefs_ and intercepts_ after initialize(X, y)"
_TRAINING = "pass an optimizer as solver=, a function as loss=, or callbacks="
_OUTPUTS = "use decision_function, or network_.predict(*parameters_, X, xp)"
_INSTEAD = {
    "_init_coef": _WEIGHTS,
    "_initialize": _WEIGHTS,
    "_fit_stochastic": _TRAINING,
    "_fit_lbfgs": _TRAINING,
    "_backprop": _TRAINING,
    "_compute_loss_grad": _TRAINING,
    "_update_no_improvement_count": "pass monitor=, or callbacks=",
    "_forward_pass": _OUTPUTS,
    "_forward_pass_fast": _OUTPUTS,
}


def warn_of_hooks(cls: type) -> None:
    """Warn of a class of the user's own that overrides what scikit-learn would call.

    Examples
    --------
    >>> from xpnn import MLPRegressor
    >>> class Mine(MLPRegressor):
    ...     def _weights(self):  # no name of scikit-learn's
    ...         pass
    """
    for name in _INSTEAD.keys() & vars(cls).keys():
        warn_user(
            f"{cls.__name__}.{name} is called by scikit-learn's networks and never by xpnn's: "
            f"{_INSTEAD[name]}."
        )
