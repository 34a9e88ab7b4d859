"""Computation on one chunk: arrays in, arrays out. No Dask, no xarray, no Zarr, no files.

CPU kernels are NumPy and Numba (:mod:`daskgen.kernels.compile`); their twins on CuPy arrays are in
:mod:`daskgen.kernels.cuda`; :mod:`daskgen.kernels.dispatch` picks the one that an array needs.
"""
