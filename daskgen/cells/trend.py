"""Local regression of the variance on the mean: Cleveland's loess, degree 2, on base-10 logarithms.

The smooth is that of netlib's dloess (through scikit-misc), as in scanpy and Seurat: a k-d tree with blending, not
direct regression, so a reimplementation of the textbook's formula would give other genes. dloess gives up ("reciprocal
condition number") where many genes share a mean, as in batches of few cells: then its neighbourhoods are widened until
they hold distinct means.
"""

from __future__ import annotations

import importlib
import logging

import numpy as np

from daskgen.errors import InputError, MissingPackageError

__all__ = ["expected_deviation"]

log = logging.getLogger("daskgen.cells")
_WIDER = 1.5


def expected_deviation(mean: np.ndarray, variance: np.ndarray, span: float = 0.3, label: str = "") -> np.ndarray:
    """Standard deviation of a gene with such a mean, float64 (genes,); 1 for genes that do not vary.

    span: share of the genes in a neighbourhood. label: what the message about a wider one begins with.
    """
    loess = _loess()
    varies = variance > 0
    fitted = np.zeros(len(mean))
    if not varies.any():
        raise InputError(f"{label}no gene varies, so there is no trend of the variance.")
    x, y = np.log10(mean[varies]), np.log10(variance[varies])
    width = span
    while True:
        try:
            model = loess(x, y, span=width, degree=2)
            model.fit()
            values = np.asarray(model.outputs.fitted_values)
            if np.isfinite(values).all():
                break
            problem = "the fit is not finite"
        except ValueError as error:
            problem = str(error).strip()
        if width >= 1:
            raise InputError(
                f"{label}the trend of the variance cannot be fitted, whatever the span.",
                found=f"{int(varies.sum()):,} genes that vary, {len(np.unique(x)):,} distinct means; {problem}",
                do="leave out batches of few cells, or use flavor='seurat'",
            )
        width = min(1.0, width * _WIDER)
    if width != span:
        log.warning("%sloess failed with span %g (too few distinct means); span %.3g was used", label, span, width)
    fitted[varies] = values
    return np.sqrt(10**fitted)


def _loess() -> type:
    try:
        return importlib.import_module("skmisc.loess").loess  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingPackageError(
            "the flavors seurat_v3 and seurat_v3_paper need scikit-misc, whose loess they are defined by.",
            do="pip install 'daskgen[cells]', or flavor='seurat'",
        ) from error
