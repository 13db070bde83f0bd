"""The models people learn from, from McCulloch and Pitts to backpropagation by hand.

Everything here is a `Network` of `Dense` layers, or its threshold form, on the arrays given: the
numbers are those that the multi-layer perceptron computes, on any library and device.
"""

from xpnn.neurons.by_hand import (
    ErrorMeasures,
    Masked,
    delta_rule,
    error_measures,
    hot_and_cold,
    mask_layer,
)
from xpnn.neurons.gates import (
    Circuit,
    McCullochPitts,
    and_gate,
    nand_gate,
    nor_gate,
    not_gate,
    or_gate,
    truth_table,
)
from xpnn.neurons.learning import (
    Backpropagation,
    Trace,
    backpropagate,
    gradient_descent,
    hill_climbing,
)
from xpnn.neurons.perceptron_rule import Boundary, ConvergenceReport, perceptron_rule
from xpnn.neurons.units import Neuron, ThresholdUnit, add_constant

__all__ = [
    "Backpropagation",
    "Boundary",
    "Circuit",
    "ConvergenceReport",
    "ErrorMeasures",
    "Masked",
    "McCullochPitts",
    "Neuron",
    "ThresholdUnit",
    "Trace",
    "add_constant",
    "and_gate",
    "backpropagate",
    "delta_rule",
    "error_measures",
    "gradient_descent",
    "hill_climbing",
    "hot_and_cold",
    "mask_layer",
    "nand_gate",
    "nor_gate",
    "not_gate",
    "or_gate",
    "perceptron_rule",
    "truth_table",
]
