"""Products of the markers of a block with vectors over samples, and multiples of markers added to them, from codes or
from dosages.

All functions take the rows of one block: codes uint8 (b, bytes), or dosage uint16 (b, 4 bytes) where there are dosages,
else empty; shift, missing (b,); gaps: `gap_start` from where the block's part begins. Arrays, not the tuple they are
held in: each call of a helper with a large tuple costs the compiler seconds.
"""

from __future__ import annotations

from daskgen.kernels.compile import helper
from daskgen.kernels.dosage_dots import add_dosages, dosage_products
from daskgen.kernels.genotype_dots import TILE, add_codes, code_products
from daskgen.kernels.limbs import cut_tile

__all__ = ["add_changes", "marker_products", "prepare_tile"]


@helper
def prepare_tile(dosages, residual, weights, tile, planes, limbs, unit, total):
    """Weigh one tile of a residual, float64 (4, bytes), into `planes` and make it ready for `marker_products`.

    dosages: whether the genotypes are; limbs int16 (tiles, LIMBS, 4, TILE), unit, total (tiles,): of this vector.
    """
    first = tile * TILE
    last = min(first + TILE, planes.shape[1])
    for k in range(4):
        for i in range(first, last):
            planes[k, i] = residual[k, i] * weights[k, i]
    if not dosages:
        unit[tile], total[tile] = cut_tile(planes, first, last, limbs[tile])


@helper
def marker_products(
    codes, dosage, shift, missing, gaps, gap_place, origin, first_tile, last_tile, planes, limbs, unit, total, sums, out
):  # fmt: skip
    """out[tile, v, j] = x_j' v over the samples of some tiles, for the markers j of a block and V vectors.

    origin: first tile of the rows; planes float64 (V, 4, bytes); limbs, unit, total: of `prepare_tile` for each vector;
    sums: int32 work space, see `limbs.code_sums`.
    """
    if dosage.size:
        for v in range(planes.shape[0]):
            dosage_products(
                dosage, shift, missing, gaps, gap_place, origin, first_tile, last_tile, planes[v], total[v], out[:, v]
            )
    else:
        code_products(
            codes, shift, missing, gaps, gap_place, origin, first_tile, last_tile, planes, limbs, unit, total, sums, out
        )


@helper
def add_changes(codes, dosage, shift, missing, gaps, gap_place, origin, first_tile, last_tile, factor, planes):
    """v += sum_j factor_j x_j over the samples of some tiles, for the markers of a block; factor: (b,), zeros are
    skipped. Places past the last sample have to be cleared after it.
    """
    for tile in range(first_tile, last_tile):
        if dosage.size:
            add_dosages(dosage, shift, missing, gaps, gap_place, origin, tile, factor, planes)
        else:
            add_codes(codes, shift, missing, gaps, gap_place, origin, tile, factor, planes)
