"""A graph of ONNX as it grows: nodes, constants, inputs and outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
ML = "ai.onnx.ml"

TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int16": TensorProto.INT16,
    "int8": TensorProto.INT8,
    "uint64": TensorProto.UINT64,
    "uint32": TensorProto.UINT32,
    "uint16": TensorProto.UINT16,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
    "str": TensorProto.STRING,
}
"""NumPy's names of dtypes as ONNX's; texts are "str"."""


class Graph:
    """Collects nodes; `add` returns the name of a node's output.

    Examples
    --------
    >>> graph = Graph()
    >>> x = graph.input("X", "float32", (None, 2))
    >>> graph.output(graph.add("Relu", x), "Y", "float32", (None, 2))
    >>> graph.model("example").ir_version
    8
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._constants: dict[Any, Any] = {}
        self._names: set[str] = set()

    def input(self, name: str, dtype: str, shape: Sequence[int | None], about: str = "") -> str:
        """An input; a length of None is that of the batch."""
        free = self._free(name)
        self.inputs.append(_value(free, dtype, shape, about))
        return free

    def reserve(self, *names: str) -> None:
        """Keep names for outputs: an input of that name gets a _ behind it."""
        self._names.update(names)

    def output(self, value: str, name: str, dtype: str, shape: Sequence[int | None]) -> None:
        """Make a value an output."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(_value(name, dtype, shape))

    def add(
        self, op: str, *inputs: Any, domain: str = "", outputs: int = 1, **attributes: Any
    ) -> str:
        """A node and the name of its first output; inputs that are no names are constants."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        made = [self._free(f"{op}:{len(self.nodes)}" + ":" * i) for i in range(outputs)]
        self.nodes.append(helper.make_node(op, names, made, domain=domain, **attributes))
        return made[0]

    def _free(self, name: str) -> str:
        """The name, or it with _ behind it where it is taken; it is taken from now on."""
        while not name or name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def cast(self, value: str, dtype: str) -> str:
        """A value in another dtype."""
        return self.add("Cast", value, to=TYPES[dtype])

    def constant(self, value: Any) -> str:
        """A constant; Python's floats are float32, its ints int64."""
        array = np.asarray(value)
        if type(value) is float:
            array = array.astype(np.float32)
        texts = array.dtype.kind in "OU"
        key = (str(array.dtype), array.shape, str(array.tolist()) if texts else array.tobytes())
        if key not in self._constants:
            name = self._free(f"constant:{len(self._constants)}")
            if texts:
                encoded = [str(v).encode() for v in array.ravel().tolist()]
                tensor = helper.make_tensor(name, TensorProto.STRING, array.shape, encoded)
            else:
                tensor = numpy_helper.from_array(np.ascontiguousarray(array), name)
            self._constants[key] = tensor
        return str(self._constants[key].name)

    def model(self, about: str, producer: str = "xpnn", version: str = "") -> Any:
        """The whole, checked."""
        found = helper.make_model(
            helper.make_graph(
                self.nodes, "xpnn", self.inputs, self.outputs, list(self._constants.values())
            ),
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)],
            ir_version=IR_VERSION,
            producer_name=producer,
            producer_version=version,
            doc_string=about,
        )
        onnx.checker.check_model(found)
        return found


def _value(name: str, dtype: str, shape: Sequence[int | None], about: str = "") -> Any:
    sizes = ["batch" if length is None else length for length in shape]
    return helper.make_tensor_value_info(name, TYPES[dtype], sizes, doc_string=about)
