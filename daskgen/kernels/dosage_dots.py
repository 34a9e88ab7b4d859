"""Products of single markers with one float64 vector, straight from dosages uint16: `genotype_dots` for them.

A row has its samples in the order of the planes: place k bytes + i is sample 4 i + k, where `bytes` is the length of
a row of packed codes of as many samples. The value of marker j at a sample is dosage / 16384 - shift_j, or missing_j
where there is none (65535), which is listed by marker and tile as for codes; places past the last sample are 0.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE
from daskgen.kernels.genotype_dots import TILE, n_tiles, sum_of
from daskgen.kernels.genotype_layout import packed_width

__all__ = ["MISSING_VALUE", "add_dosages", "dosage_products", "dosage_values", "find_dosage_gaps", "in_planes"]

Steps = npt.NDArray[np.uint16]
Planes = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

MISSING_VALUE = DOSAGE_MISSING / DOSAGE_SCALE
"""What a missing dosage counts as until it is put right."""

_STEP = 1.0 / DOSAGE_SCALE
_reordered = numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})


def in_planes(dosage: Steps) -> Steps:
    """Dosages uint16 (markers, samples) in the order of the planes: (markers, 4 bytes)."""
    markers, n = dosage.shape
    width = packed_width(n)
    padded = np.zeros((markers, 4 * width), np.uint16)
    padded[:, :n] = dosage
    return np.ascontiguousarray(padded.reshape(markers, width, 4).swapaxes(1, 2)).reshape(markers, 4 * width)


def find_dosage_gaps(dosage: Steps) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """(gap_start int64 (markers x tiles + 1,), gap_place uint16) of rows in the order of the planes."""
    start = np.zeros(len(dosage) * n_tiles(dosage.shape[1] // 4) + 1, np.int64)
    place = np.empty(int(sum((row == DOSAGE_MISSING).sum() for row in dosage)), np.uint16)
    _find_dosage_gaps(dosage, start, place)
    return start, place


@kernel(types.void(input_array(types.uint16, 2), output_array(types.int64, 1), output_array(types.uint16, 1)))
def _find_dosage_gaps(dosage: Steps, start: npt.NDArray[np.int64], place: npt.NDArray[np.uint16]) -> None:
    width = dosage.shape[1] // 4
    tiles = max(1, -(-width // TILE))
    found = 0
    for j in range(dosage.shape[0]):
        for tile in range(tiles):
            first = tile * TILE
            for k in range(4):
                for i in range(first, min(first + TILE, width)):
                    if dosage[j, k * width + i] == DOSAGE_MISSING:
                        place[found] = 4 * (i - first) + k
                        found += 1
            start[j * tiles + tile + 1] = found


@_reordered
def _steps_times(steps: Steps, v: Vector) -> float:
    total = 0.0
    for i in range(v.size):
        total += steps[i] * v[i]
    return total


@helper
def dosage_products(
    dosage: Steps,
    start: int,
    stop: int,
    first_tile: int,
    last_tile: int,
    planes: Planes,
    shift: Vector,
    missing: Vector,
    gap_start: npt.NDArray[np.int64],
    gap_place: npt.NDArray[np.uint16],
    total: Vector,
    out: npt.NDArray[np.float64],
) -> None:
    """x_j' v over the samples of some tiles, for the markers `start` to `stop` - 1: out[tile, j - start]."""
    width = planes.shape[1]
    tiles = max(1, -(-width // TILE))
    for tile in range(first_tile, last_tile):
        first, last = tile * TILE, min((tile + 1) * TILE, width)
        total[tile] = (sum_of(planes[0, first:last]) + sum_of(planes[1, first:last])) + (
            sum_of(planes[2, first:last]) + sum_of(planes[3, first:last])
        )
    for j in range(start, stop):
        for tile in range(first_tile, last_tile):
            first, last = tile * TILE, min((tile + 1) * TILE, width)
            product = 0.0
            for k in range(4):
                product += _steps_times(dosage[j, k * width + first : k * width + last], planes[k, first:last])
            product = product * _STEP - shift[j] * total[tile]
            begin, end = gap_start[j * tiles + tile], gap_start[j * tiles + tile + 1]
            if begin < end:
                gone = 0.0
                for at in range(begin, end):
                    place = gap_place[at]
                    gone += planes[place & 3, first + (place >> 2)]
                product += (missing[j] - MISSING_VALUE + shift[j]) * gone
            out[tile, j - start] = product


@_reordered
def _add_steps(steps: Steps, factor: float, constant: float, v: Vector) -> None:
    for i in range(v.size):
        v[i] += factor * steps[i] - constant


@helper
def add_dosages(
    dosage: Steps,
    marker: int,
    tile: int,
    factor: float,
    planes: Planes,
    shift: Vector,
    missing: Vector,
    gap_start: npt.NDArray[np.int64],
    gap_place: npt.NDArray[np.uint16],
) -> None:
    """v += factor x_j over the samples of one tile. Places past the last sample have to be cleared after it."""
    width = planes.shape[1]
    first = tile * TILE
    last = min(first + TILE, width)
    for k in range(4):
        steps = dosage[marker, k * width + first : k * width + last]
        _add_steps(steps, factor * _STEP, factor * shift[marker], planes[k, first:last])
    tiles = max(1, -(-width // TILE))
    change = factor * (missing[marker] - MISSING_VALUE + shift[marker])
    for at in range(gap_start[marker * tiles + tile], gap_start[marker * tiles + tile + 1]):
        place = gap_place[at]
        planes[place & 3, first + (place >> 2)] += change


def dosage_values(
    dosage: Steps, first: int, last: int, shift: np.ndarray, missing: np.ndarray, out: npt.NDArray[np.float64]
) -> None:
    """Values of the places `first` to `last` - 1 of each plane, as `marker_values` gives them for codes.

    dosage: (b, 4 bytes); shift, missing: float64 (b,); out: float64 (b, 4 (last - first)).
    """
    size, width = last - first, dosage.shape[1] // 4
    for k in range(4):
        steps = dosage[:, k * width + first : k * width + last]
        part = out[:, k * size : (k + 1) * size]
        np.multiply(steps, _STEP, out=part)
        part -= shift[:, None]
        gone = steps == DOSAGE_MISSING
        if gone.any():
            part[gone] = np.broadcast_to(missing[:, None], part.shape)[gone]
