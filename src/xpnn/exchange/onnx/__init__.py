"""Fitted estimators as ONNX: opset 17, IR 8, ai.onnx.ml 3."""
