"""Labels of classes in types that other programs have."""

import numpy as np


def label_type(classes: np.ndarray) -> tuple[np.ndarray, str]:
    """The labels as whole numbers, truths, numbers or text, and the name of their type.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    values : ndarray of int64, bool, float64 or str
    dtype : {"int64", "bool", "float64", "str"}

    Examples
    --------
    >>> label_type(np.array(["no", "yes"], dtype=object))
    (array(['no', 'yes'], dtype='<U3'), 'str')
    """
    values = np.asarray(classes.tolist()) if classes.dtype.kind in "OT" else classes
    if values.dtype.kind == "u" and int(values.max()) > np.iinfo(np.int64).max:
        raise ValueError(
            f"The label {values.max()} is more than {np.iinfo(np.int64).max}, the greatest whole "
            "number that other programs have: train on labels as text to export the model."
        )
    kinds = {"i": "int64", "u": "int64", "f": "float64", "b": "bool", "U": "str"}
    dtype = kinds.get(values.dtype.kind)
    if dtype is None:
        raise ValueError(
            f"The labels {', '.join(map(str, classes[:3]))} are neither numbers nor text, which "
            "other programs have: train on such labels to export the model."
        )
    return (values if dtype == "str" else values.astype(dtype)), dtype
