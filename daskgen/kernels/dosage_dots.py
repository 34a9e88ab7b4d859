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


def in_planes(dosage: Steps, first: int = 0, last: int | None = None, out: Steps | None = None) -> Steps:
    """Dosages uint16 (markers, samples) in the order of the planes: the places `first` to `last` - 1 of each plane,
    (markers, 4 (last - first)), of all where they are not given.
    """
    last = packed_width(dosage.shape[1]) if last is None else last
    found = np.empty((len(dosage), 4 * (last - first)), np.uint16) if out is None else out
    _in_planes(np.ascontiguousarray(dosage), first, last, found)
    return found


@kernel(types.void(input_array(types.uint16, 2), types.int64, types.int64, output_array(types.uint16, 2)))
def _in_planes(dosage: Steps, first: int, last: int, out: Steps) -> None:
    n, size = dosage.shape[1], last - first
    whole = min(last, n // 4)  # places up to here have a sample in each plane
    for j in range(dosage.shape[0]):
        row = dosage[j]
        for k in range(4):
            plane = out[j, k * size : (k + 1) * size]
            for i in range(first, whole):
                plane[i - first] = row[4 * i + k]
            for i in range(max(first, whole), last):
                plane[i - first] = row[4 * i + k] if 4 * i + k < n else 0


def find_dosage_gaps(dosage: Steps) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """(gap_start int64 (markers x tiles + 1,), gap_place uint16) of rows in the order of the planes."""
    start = np.zeros(len(dosage) * n_tiles(dosage.shape[1] // 4) + 1, np.int64)
    _count_dosage_gaps(dosage, start)
    place = np.empty(int(start[-1]), np.uint16)
    _list_dosage_gaps(dosage, start, place)
    return start, place


@kernel(types.void(input_array(types.uint16, 2), output_array(types.int64, 1)))
def _count_dosage_gaps(dosage: Steps, start: npt.NDArray[np.int64]) -> None:
    width = dosage.shape[1] // 4
    tiles = max(1, -(-width // TILE))
    for j in range(dosage.shape[0]):
        for tile in range(tiles):
            first, last = tile * TILE, min((tile + 1) * TILE, width)
            found = 0
            for k in range(4):
                steps = dosage[j, k * width + first : k * width + last]
                for i in range(steps.size):
                    found += steps[i] == DOSAGE_MISSING
            start[j * tiles + tile + 1] = start[j * tiles + tile] + found


@kernel(types.void(input_array(types.uint16, 2), input_array(types.int64, 1), output_array(types.uint16, 1)))
def _list_dosage_gaps(dosage: Steps, start: npt.NDArray[np.int64], place: npt.NDArray[np.uint16]) -> None:
    width = dosage.shape[1] // 4
    tiles = max(1, -(-width // TILE))
    for number in range(start.size - 1):
        at = start[number]
        if at == start[number + 1]:
            continue
        j, first = number // tiles, number % tiles * TILE
        for k in range(4):
            for i in range(first, min(first + TILE, width)):
                if dosage[j, k * width + i] == DOSAGE_MISSING:
                    place[at] = 4 * (i - first) + k
                    at += 1


@_reordered
def _steps_times(steps: Steps, v: Vector) -> float:
    total = 0.0
    for i in range(v.size):
        total += steps[i] * v[i]
    return total


@helper
def dosage_products(
    dosage: Steps,
    shift: Vector,
    missing: Vector,
    gap_start: npt.NDArray[np.int64],
    gap_place: npt.NDArray[np.uint16],
    origin: int,
    first_tile: int,
    last_tile: int,
    planes: Planes,
    total: Vector,
    out: npt.NDArray[np.float64],
) -> None:
    """x_j' v over the samples of some tiles, for the markers of a block: out[tile, j].

    dosage: uint16 (b, 4 bytes), whose planes begin with the tile `origin`; shift, missing: (b,); planes: v, float64
    (4, bytes) of all samples; total: work space (tiles,).
    """
    width, whole = dosage.shape[1] // 4, planes.shape[1]
    tiles = max(1, -(-width // TILE))
    for tile in range(first_tile, last_tile):
        first, last = tile * TILE, min((tile + 1) * TILE, whole)
        total[tile] = (sum_of(planes[0, first:last]) + sum_of(planes[1, first:last])) + (
            sum_of(planes[2, first:last]) + sum_of(planes[3, first:last])
        )
    for j in range(dosage.shape[0]):
        for tile in range(first_tile, last_tile):
            local = tile - origin
            first, last, begin = local * TILE, min((local + 1) * TILE, width), tile * TILE
            product = 0.0
            for k in range(4):
                steps = dosage[j, k * width + first : k * width + last]
                product += _steps_times(steps, planes[k, begin : begin + last - first])
            product = product * _STEP - shift[j] * total[tile]
            from_gap, to_gap = gap_start[j * tiles + local], gap_start[j * tiles + local + 1]
            if from_gap < to_gap:
                gone = 0.0
                for at in range(from_gap, to_gap):
                    place = gap_place[at]
                    gone += planes[place & 3, begin + (place >> 2)]
                product += (missing[j] - MISSING_VALUE + shift[j]) * gone
            out[tile, j] = product


@_reordered
def _add_steps(steps: Steps, factor: float, constant: float, v: Vector) -> None:
    for i in range(v.size):
        v[i] += factor * steps[i] - constant


@helper
def add_dosages(
    dosage: Steps,
    shift: Vector,
    missing: Vector,
    gap_start: npt.NDArray[np.int64],
    gap_place: npt.NDArray[np.uint16],
    origin: int,
    tile: int,
    factor: Vector,
    planes: Planes,
) -> None:
    """v += sum_j factor_j x_j over the samples of one tile; factor: (b,), zeros are skipped. Places past the last
    sample have to be cleared after it.
    """
    width = dosage.shape[1] // 4
    tiles = max(1, -(-width // TILE))
    local, begin = tile - origin, tile * TILE
    first, last = local * TILE, min((local + 1) * TILE, width)
    for j in range(factor.size):
        if factor[j] == 0.0:
            continue
        for k in range(4):
            steps = dosage[j, k * width + first : k * width + last]
            _add_steps(steps, factor[j] * _STEP, factor[j] * shift[j], planes[k, begin : begin + last - first])
        change = factor[j] * (missing[j] - MISSING_VALUE + shift[j])
        for at in range(gap_start[j * tiles + local], gap_start[j * tiles + local + 1]):
            place = gap_place[at]
            planes[place & 3, begin + (place >> 2)] += change


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
