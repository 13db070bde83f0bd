"""Training steps on CuPy: kernels in CUDA C++, one file for each part of a step."""
