"""Matrix products inside compiled code.

`numba` has a product of its own, but it takes no part of a matrix and no leading dimension. SciPy
gives the address of its BLAS, which is handed over as a number: code with numbers can be cached.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

from xpnn.steps.numba_loops import inner

_INT, _CHAR = ir.IntType(32), ir.IntType(8)


@cache
def product_address(dtype: np.dtype) -> int:
    """Where SciPy's ``sgemm`` or ``dgemm`` is."""
    name = "sgemm" if dtype == np.float32 else "dgemm"
    return int(get_cython_function_address("scipy.linalg.cython_blas", name))


@intrinsic
def _gemm(typing, address, flip_a, flip_b, m, n, k, a, lda, b, ldb, c, ldc):  # type: ignore[no-untyped-def]
    """C = op(A) op(B) of column-major matrices, through the Fortran interface."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        real = context.get_value_type(signature.args[6].dtype)

        def spot(value: Any) -> Any:
            place = cgutils.alloca_once(builder, value.type)
            builder.store(value, place)
            return place

        def integer(i: int) -> Any:
            return spot(builder.trunc(values[i], _INT))

        def letter(i: int) -> Any:
            flipped = builder.icmp_signed("!=", values[i], values[i].type(0))
            return spot(builder.select(flipped, _CHAR(ord("T")), _CHAR(ord("N"))))

        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, values[i]).data

        arguments = [letter(1), letter(2), integer(3), integer(4), integer(5), spot(real(1.0))]
        arguments += [data(6), integer(7), data(8), integer(9), spot(real(0.0))]
        arguments += [data(10), integer(11)]
        kind = ir.FunctionType(ir.VoidType(), [v.type for v in arguments])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), arguments)
        return context.get_dummy_value()

    scalar = types.int64
    numbers = (scalar,) * 6
    return types.void(*numbers, a, scalar, b, scalar, c, scalar), generate


@inner
def product(blas, x, w, z, rows, n_in, n_out):  # type: ignore[no-untyped-def]
    """Z = X W, row-major matrices in flat arrays: (rows, n_in) and (n_in, n_out)."""
    _gemm(blas, 0, 0, n_out, rows, n_in, w, n_out, x, n_in, z, n_out)


@inner
def product_with_transposed(blas, dz, w, dx, rows, n_in, n_out):  # type: ignore[no-untyped-def]
    """DX = DZ W^T, (rows, n_out) and (n_in, n_out)."""
    _gemm(blas, 1, 0, n_in, rows, n_out, w, n_out, dz, n_out, dx, n_in)


@inner
def product_of_columns(blas, x, dz, dw, rows, n_in, n_out, count):  # type: ignore[no-untyped-def]
    """DW = X[:, :count]^T DZ, of X with `n_in` columns in all, and (rows, n_out)."""
    _gemm(blas, 0, 1, n_out, count, rows, dz, n_out, x, n_in, dw, n_out)
