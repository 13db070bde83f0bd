"""The models people learn from, from McCulloch and Pitts to backpropagation by hand.

Everything here is a `Network` of `Dense` layers, or its threshold form, on the arrays given: the
numbers are those that the multi-layer perceptron computes, on any library and device.
"""

from xpnn.neurons.backpropagation import Backpropagation, Factors, backpropagate
from xpnn.neurons.circuits import Circuit
from xpnn.neurons.delta import WeightTrace, delta_rule, hot_and_cold
from xpnn.neurons.gates import (
    McCullochPitts,
    TruthTable,
    and_gate,
    nand_gate,
    nor_gate,
    not_gate,
    or_gate,
    truth_table,
)
from xpnn.neurons.learning import Trace, gradient_descent, hill_climbing
from xpnn.neurons.measures import ErrorMeasures, Masked, error_measures, mask_layer
from xpnn.neurons.perceptron_rule import Boundary, ConvergenceReport, perceptron_rule
from xpnn.neurons.units import Neuron, ThresholdUnit, add_constant

__all__ = [
    "Backpropagation",
    "Boundary",
    "Circuit",
    "ConvergenceReport",
    "ErrorMeasures",
    "Factors",
    "Masked",
    "McCullochPitts",
    "Neuron",
    "ThresholdUnit",
    "Trace",
    "TruthTable",
    "WeightTrace",
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
