"""Our estimators as skl2onnx converts them: the graph of `to_onnx`, put into its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn._optional import needed
from xpnn.estimators import (
    MLPClassifier,
    MLPRegressor,
    Perceptron,
    TabularClassifier,
    TabularRegressor,
)
from xpnn.exchange.labels import label_type
from xpnn.exchange.onnx.export import graph_of
from xpnn.exchange.onnx.graph import ML_OPSET, TYPES

LEAST_OPSET = 13
"""The lowest version of ONNX's operators in which those of our graphs mean the same."""

_DTYPES = {number: name for name, number in TYPES.items()}
_OPTIONS: dict[str, list[Any]] = {"zipmap": [True, False, "columns"], "nocl": [False]}
_OPTIONS |= {"output_class_labels": [False, True]}
_SCORES = {"raw_scores": [False, True]}


def register() -> None:
    """Tell skl2onnx of our classes, and how they are converted."""
    update = needed("skl2onnx", "Registering converters").update_registered_converter
    for cls in (MLPClassifier, Perceptron, TabularClassifier):
        options = _OPTIONS | (_SCORES if hasattr(cls, "decision_function") else {})
        update(cls, f"Xpnn{cls.__name__}", _classifier_types, _convert, options=options)
    for cls in (MLPRegressor, TabularRegressor):
        update(cls, f"Xpnn{cls.__name__}", _regressor_types, _convert)


# -- what comes out -------------------------------------------------------------------------------


def _classifier_types(operator: Any) -> None:
    """Labels are whole numbers or text, as everywhere in skl2onnx."""
    types = needed("skl2onnx.common.data_types", "Registering converters")
    model, n = operator.raw_operator, operator.inputs[0].get_first_dimension()
    values, dtype = label_type(model.classes_)
    shape = [n, len(values)]
    kind = types.StringTensorType if dtype == "str" else types.Int64TensorType
    operator.outputs[0].set_type(kind(shape if model._labels.kind == "multilabel" else [n]))
    operator.outputs[1].type.shape = shape


def _regressor_types(operator: Any) -> None:
    model = operator.raw_operator
    learns_quantiles = getattr(model, "quantiles_", None) is not None
    n_out = 1 if learns_quantiles else model.network_.n_out
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), n_out]


# -- what is computed -----------------------------------------------------------------------------


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Put the nodes of `to_onnx` into skl2onnx's graph."""
    if container.target_opset < LEAST_OPSET:
        raise ValueError(
            f"target_opset={container.target_opset} is too old for an estimator of xpnn: pass "
            f"{LEAST_OPSET} or more, or leave it out."
        )
    model, into = operator.raw_operator, _Container(scope, container)
    asked = scope.get_options(model, {"raw_scores": False}, fail=False) or {}
    scores = bool(asked.get("raw_scores"))
    graph = graph_of(model, _sample(model, operator.inputs), scores=scores).graph
    names = _inputs(model, graph, operator.inputs, into)
    names |= {tensor.name: into.constant(tensor) for tensor in graph.initializer}
    for node in graph.node:
        into.copy(node, names)
    ours = {v.name: (names[v.name], _DTYPES[v.type.tensor_type.elem_type]) for v in graph.output}
    if "scores" in ours and model._labels.kind == "binary":
        ours["scores"] = into.both_sides(ours["scores"][0]), "float32"
    wanted = [ours.pop("label")] if "label" in ours else []
    wanted.append(next(iter(ours.values())))
    for (value, dtype), theirs in zip(wanted, operator.outputs, strict=True):
        into.assign(value, dtype, theirs)


def _sample(model: Any, inputs: Sequence[Any]) -> Any:
    """A row of the type of the inputs, where the estimator takes a matrix; else None."""
    if hasattr(model, "encoding_") and hasattr(model, "feature_names_in_"):
        return None
    return np.zeros((1, model.n_features_in_), _together(inputs))


def _inputs(model: Any, graph: Any, inputs: Sequence[Any], into: "_Container") -> dict[str, str]:
    """The value of skl2onnx's graph that each input of ours is."""
    if _sample(model, inputs) is not None:
        return {graph.input[0].name: into.matrix(inputs, _together(inputs))}
    columns, found = list(model._columns), {}
    used = list(dict.fromkeys(c.name for c in model.encoding_.columns)) or columns[:1]
    given = {v.raw_name: v for v in inputs}
    for name, value in zip(used, graph.input, strict=True):
        dtype = _DTYPES[value.type.tensor_type.elem_type]
        if name in given:
            found[value.name] = into.cast(given[name].full_name, _dtype(given[name]), dtype)
        else:
            whole = into.matrix(inputs, _together(inputs))
            place = np.array([columns.index(name)])
            column = into.add("Gather", [whole, into.array(place)], axis=1)
            found[value.name] = into.cast(column, _together(inputs), dtype)
    return found


def _dtype(variable: Any) -> str:
    return _DTYPES[variable.type.to_onnx_type().tensor_type.elem_type]


def _together(inputs: Sequence[Any]) -> str:
    """The dtype of a matrix of several columns."""
    dtypes = {_dtype(v) for v in inputs}
    if len(dtypes) == 1:
        return dtypes.pop()
    if "str" in dtypes:
        raise ValueError(
            "Columns of numbers and of text make no matrix: an estimator of xpnn takes them by "
            "their names where it was fitted to a table that has names."
        )
    return str(np.result_type(*map(np.dtype, dtypes)))


class _Container:
    """Adds nodes and constants to a container of skl2onnx under names that are free there."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def _free(self, name: str) -> str:
        return str(self._scope.get_unique_variable_name(f"xpnn_{name}"))

    def add(self, op: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        """A node with one output, whose name is returned."""
        made = self._free(op)
        self._container.add_node(
            op, inputs, made, op_domain=domain, name=self._scope.get_unique_operator_name(op),
            **attributes,
        )  # fmt: skip
        return made

    def copy(self, node: Any, names: dict[str, str]) -> None:
        """A node of ours; the names of its outputs are added to the others."""
        onnx = needed("onnx", "Writing ONNX", '"xpnn[onnx]"')
        names |= {name: self._free(name) for name in node.output}
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.domain:  # skl2onnx would take the newest, and refuses the newest of ai.onnx.ml
            schema = onnx.defs.get_schema(node.op_type, ML_OPSET, node.domain)
            attributes["op_version"] = schema.since_version
        self._container.add_node(
            node.op_type,
            [names[name] for name in node.input],
            [names[name] for name in node.output],
            op_domain=node.domain,
            name=self._scope.get_unique_operator_name(node.op_type),
            **attributes,
        )

    def constant(self, tensor: Any) -> str:
        """A constant of ours."""
        helper = needed("onnx.numpy_helper", "Writing ONNX", '"xpnn[onnx]"')
        values = list(tensor.string_data) or helper.to_array(tensor).ravel().tolist()
        name = self._free(tensor.name)
        self._container.add_initializer(name, tensor.data_type, list(tensor.dims), values)
        return name

    def array(self, values: np.ndarray) -> str:
        """A constant of whole numbers."""
        name = self._free("constant")
        shape = list(values.shape)
        self._container.add_initializer(name, TYPES["int64"], shape, values.ravel().tolist())
        return name

    def cast(self, value: str, dtype: str, wanted: str) -> str:
        """A value in another dtype, if it has not got it."""
        return value if dtype == wanted else self.add("Cast", [value], to=TYPES[wanted])

    def matrix(self, inputs: Sequence[Any], dtype: str) -> str:
        """One matrix of all inputs, side by side."""
        cast = [self.cast(v.full_name, _dtype(v), dtype) for v in inputs]
        return cast[0] if len(cast) == 1 else self.add("Concat", cast, axis=1)

    def both_sides(self, scores: str) -> str:
        """Scores (batch,) of the second of two classes as those of both."""
        column = self.add("Reshape", [scores, self.array(np.array([-1, 1]))])
        return self.add("Concat", [self.add("Neg", [column]), column], axis=1)

    def assign(self, value: str, dtype: str, variable: Any) -> None:
        """Let a variable of theirs be a value."""
        wanted = TYPES[_dtype(variable)]
        op, about = ("Identity", {}) if TYPES[dtype] == wanted else ("Cast", {"to": wanted})
        self._container.add_node(
            op, value, variable.full_name, name=self._scope.get_unique_operator_name(op), **about
        )
