"""The kernels on CuPy arrays, with their CUDA C++ sources beside them. CuPy is imported on first use."""
