"""More uses of `ecosystem.py`: what writes models, and reads them back."""

from typing import Any

import numpy as np
from ecosystem_uses import classifier, flowers, use


@use("logged with mlflow.sklearn, read back: equal predictions", "mlflow")
def _(lib: Any) -> float:
    import logging
    import tempfile

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    x, y = flowers()
    model = classifier(lib).fit(x, y)
    with tempfile.TemporaryDirectory() as folder:
        where = f"{folder}/model"
        mlflow.sklearn.save_model(model, where, serialization_format="cloudpickle")
        return float(np.mean(mlflow.sklearn.load_model(where).predict(x) == model.predict(x)))


@use("classes to trust in a file", "skops")
def _(lib: Any) -> float:
    import skops.io

    model = classifier(lib).fit(*flowers())
    data = skops.io.dumps(model)
    trusted = skops.io.get_untrusted_types(data=data)
    again = skops.io.loads(data, trusted=trusted)
    assert (again.predict(flowers()[0]) == model.predict(flowers()[0])).all()
    return float(len(trusted))


@use("equal labels by onnxruntime", "skl2onnx", "onnx", "onnxruntime")
def _(lib: Any) -> float:
    import onnxruntime
    from skl2onnx import to_onnx

    if hasattr(lib, "register_converters"):
        lib.register_converters("skl2onnx")
    x, y = flowers()
    x = x.astype(np.float32)
    model = classifier(lib).fit(x, y)
    file = to_onnx(model, x[:1]).SerializeToString()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (name,) = (i.name for i in session.get_inputs())
    return float(np.mean(session.run(None, {name: x})[0] == model.predict(x)))


@use("converted to PyTorch: equal labels", "hummingbird-ml")
def _(lib: Any) -> float:
    from hummingbird.ml import convert

    if hasattr(lib, "register_converters"):
        lib.register_converters("hummingbird")
    x, y = flowers()
    model = classifier(lib).fit(x, y)
    return float(np.mean(convert(model, "torch", x).predict(x) == model.predict(x)))
