"""Our networks as hummingbird converts them: the layers of `to_torch`, with labels.

Its converted models can be pickled, so their class stands here and the libraries are imported with
this file.
"""

from typing import Any

import numpy as np

from xpnn._optional import needed
from xpnn.estimators import MLPClassifier, MLPRegressor
from xpnn.exchange.pytorch import to_torch

_WHAT, _PACKAGE = "Registering converters", "hummingbird-ml"
torch: Any = needed("torch", _WHAT)
_Operator: Any = needed(
    "hummingbird.ml.operator_converters._physical_operator", _WHAT, _PACKAGE
).PhysicalOperator


class Converted(_Operator, torch.nn.Module):
    """A network among hummingbird's operators.

    Parameters
    ----------
    operator : onnxconverter_common.topology.Operator
        Around a fitted `MLPClassifier` or `MLPRegressor`.
    """

    def __init__(self, operator: Any) -> None:
        model = operator.raw_operator
        several = isinstance(model, MLPClassifier)
        super().__init__(operator, classification=several, regression=not several)
        self.layers = to_torch(model).float()
        self.labels = torch.nn.Parameter(_labels(model), requires_grad=False) if several else None

    def forward(self, x: Any) -> Any:
        """Numbers (n, n_outputs); of classes the labels (n,) and probabilities (n, n_classes)."""
        found = self.layers(x.float())
        if self.labels is None:
            return found
        if found.shape[1] == 1:
            found = torch.cat([1.0 - found, found], dim=1)
        if len(self.labels) == 1:  # one class was seen: there is no other to predict
            found = torch.ones_like(found[:, :1])
        return torch.index_select(self.labels, 0, torch.argmax(found, dim=1)), found


def _labels(model: Any) -> Any:
    """The classes of a classifier that hummingbird can hold: whole numbers, one a row."""
    classes = np.asarray(model.classes_)
    if model._has_margins():
        raise ValueError(
            "loss='hinge' gives no probabilities, which hummingbird has of every classifier: use "
            "xpnn.to_onnx, or the default loss."
        )
    if model._labels.kind == "multilabel" or classes.dtype.kind not in "iub":
        raise ValueError(
            f"The classes are {classes[:3].tolist()}, of the kind {model._labels.kind!r}; "
            "hummingbird takes one whole number a row: use xpnn.to_onnx or xpnn.to_torch, or train "
            "on numbers."
        )
    return torch.asarray(classes.astype(np.int64))


def _convert(operator: Any, device: Any, extra_config: Any) -> Any:
    return Converted(operator)


def register() -> None:
    """Tell hummingbird of our networks, and how they are converted."""
    known = needed("hummingbird.ml.supported", _WHAT, _PACKAGE).sklearn_api_operator_name_map
    pool = needed("onnxconverter_common.registration", _WHAT, _PACKAGE)
    for cls in (MLPClassifier, MLPRegressor):
        known[cls] = f"Xpnn{cls.__name__}"
        pool.register_converter(known[cls], _convert, overwrite=True)
