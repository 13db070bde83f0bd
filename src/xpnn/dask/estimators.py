"""Estimators of Dask's arrays and frames: the ordinary ones, trained on a cluster's workers."""

import inspect
from collections.abc import Callable
from typing import Any

from xpnn import estimators as ordinary
from xpnn.dask.base import OfClasses, OfNetworks, OfTables


def _with_client(cls: type) -> Callable[..., None]:
    """The `__init__` of an ordinary estimator, with `client` beside its own parameters."""
    own = inspect.signature(cls.__init__)  # type: ignore[misc]
    client = inspect.Parameter("client", inspect.Parameter.KEYWORD_ONLY, default=None)

    def __init__(self: Any, *args: Any, client: Any = None, **params: Any) -> None:
        cls.__init__(self, *args, **params)  # type: ignore[misc]
        self.client = client

    __init__.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), client]
    )
    return __init__


class MLPClassifier(OfClasses, OfNetworks, ordinary.MLPClassifier):
    """Multi-layer perceptron classifier of Dask's arrays and frames.

    Parameters
    ----------
    client : dask.distributed.Client, default=None
        None is the one that was made last.
    **params
        Those of `xpnn.MLPClassifier`.

    Attributes
    ----------
    classes_, coefs_, loss_curve_, ...
        Those of `xpnn.MLPClassifier`, on the client.

    Examples
    --------
    >>> import dask.array as da  # doctest: +SKIP
    >>> from dask.distributed import Client  # doctest: +SKIP
    >>> from xpnn.dask import MLPClassifier
    >>> client = Client()  # doctest: +SKIP
    >>> X = da.random.normal(size=(100_000, 20), chunks=(10_000, 20))  # doctest: +SKIP
    >>> model = MLPClassifier(random_state=0).fit(X, X[:, 0] > 0)  # doctest: +SKIP
    >>> model.predict_proba(X)  # doctest: +SKIP
    dask.array<...>
    """

    _ordinary = ordinary.MLPClassifier
    __init__ = _with_client(ordinary.MLPClassifier)

    def decision_function(self, X: Any) -> Any:
        """The network's raw outputs, as `predict_proba` gives its probabilities.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.

        Returns
        -------
        Dask array of shape (n_samples,) or (n_samples, n_classes)
        """
        return self._by_partition("decision_function", X)


class MLPRegressor(OfNetworks, ordinary.MLPRegressor):
    """Multi-layer perceptron regressor of Dask's arrays and frames.

    Parameters
    ----------
    client : dask.distributed.Client, default=None
        None is the one that was made last.
    **params
        Those of `xpnn.MLPRegressor`.

    Examples
    --------
    >>> from xpnn.dask import MLPRegressor
    >>> MLPRegressor(max_iter=5).get_params()["max_iter"]
    5
    """

    _ordinary = ordinary.MLPRegressor
    __init__ = _with_client(ordinary.MLPRegressor)


class TabularClassifier(OfClasses, OfTables, ordinary.TabularClassifier):
    """Classes of the rows of a Dask frame.

    Parameters
    ----------
    client : dask.distributed.Client, default=None
        None is the one that was made last.
    **params
        Those of `xpnn.TabularClassifier`.

    Examples
    --------
    >>> from xpnn.dask import TabularClassifier
    >>> TabularClassifier(random_state=0).to_local()
    TabularClassifier(random_state=0)
    """

    _ordinary = ordinary.TabularClassifier
    __init__ = _with_client(ordinary.TabularClassifier)


class TabularRegressor(OfTables, ordinary.TabularRegressor):
    """Numbers of the rows of a Dask frame.

    Parameters
    ----------
    client : dask.distributed.Client, default=None
        None is the one that was made last.
    **params
        Those of `xpnn.TabularRegressor`.

    Examples
    --------
    >>> from xpnn.dask import TabularRegressor
    >>> TabularRegressor(random_state=0).to_local()
    TabularRegressor(random_state=0)
    """

    _ordinary = ordinary.TabularRegressor
    __init__ = _with_client(ordinary.TabularRegressor)

    def predict_quantiles(self, X: Any) -> Any:
        """Predict the quantiles that were learned, lazily and by partition where X is Dask's.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.

        Returns
        -------
        Dask array of shape (n_samples, n_quantiles)
        """
        return self._by_partition("predict_quantiles", X)

    def predict_interval(
        self, X: Any, confidence_level: float = 0.9, *, method: str = "median"
    ) -> Any:
        """Predict intervals, lazily and by partition where X is Dask's.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.
        confidence_level : float, default=0.9
        method : {"median", "plus", "base"}, default="median"

        Returns
        -------
        Dask array of shape (n_samples, 2), or (n_samples, 2, n_outputs)
        """
        about = {"confidence_level": confidence_level, "method": method}
        return self._by_partition("predict_interval", X, **about)
