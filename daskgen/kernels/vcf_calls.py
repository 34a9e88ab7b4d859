"""The calls and dosages of all samples of VCF records, from their text.

FORMAT names the parts of a sample's column, which colons separate; GT (alleles by number, 0 = REF, joined by / or |),
DS (expected copies of each ALT) and GP (probabilities of the genotypes) are read. Each ALT allele k is a row that
counts it:

- a call with two alleles a, b is (a = k) + (b = k); with one allele it is 2 (a = k); a missing allele makes it missing;
- a dosage is DS of allele k, else the sum over genotypes of GP times copies of k, else what the call says; doubled
  where the call has one allele, so that haploid ones run from 0 to 2 like haploid calls;
- where FORMAT has no GT, the call is the whole number that the dosage is near to.

Source: the VCF 4.3 specification, https://samtools.github.io/hts-specs/VCFv4.3.pdf, section 1.6.2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE, HARD_CALL_THRESHOLD, furthest_steps
from daskgen.kernels.genotype_layout import MISSING, as_input, as_output, packed_width
from daskgen.kernels.text import decimal, find, list_item
from daskgen.kernels.vcf_lines import END, FIRST_SAMPLE, FORMAT, n_alt_alleles
from daskgen.kernels.words import load_uint32

__all__ = ["HALF_CALL", "PROBLEMS", "CallProblem", "read_calls"]

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]
Steps = npt.NDArray[np.uint16]
Alleles = npt.NDArray[np.int16]

PROBLEMS = {
    1: "fewer columns than the header names samples",
    2: "more columns than the header names samples",
    3: "GT is not a genotype",
    4: "GT has more than two alleles, and only haploid and diploid calls can be stored",
    5: "GT names an allele that ALT does not have",
    6: "DS or GP is not a number, or has fewer numbers than there are alleles or genotypes",
    7: "the dosage lies outside 0 to 2 (0 to 1 for a haploid call)",
    8: "GP are no probabilities: they do not sum to 1",
    9: "GT has one allele of two missing (a half-call)",
}
_FEW, _MANY, _NO_GENOTYPE, _PLOIDY, _ALLELE, _NO_NUMBER, _RANGE, _PROBABILITIES, HALF_CALL = PROBLEMS

_TAB, _COMMA, _COLON = 9, 44, 58
_DOT, _SLASH, _ZERO, _NINE, _BAR = 46, 47, 48, 57, 124
_NO_ALLELE, _NO_SECOND = -1, -2
_MOST = 2 * DOSAGE_SCALE
_ROUNDING = 0.005  # by which printed dosages and sums of probabilities may be off


class CallProblem(NamedTuple):
    """What is wrong with a record: a key of PROBLEMS, the line, the sample's column, and where in the text."""

    problem: int
    line: int
    sample: int
    position: int


def read_calls(
    text: Bytes,
    columns: Index,
    n_samples: int,
    target: Index,
    packed: Bytes,
    dosage: Steps | None = None,
    threshold: float = HARD_CALL_THRESHOLD,
    *,
    refuse_half_calls: bool = False,
) -> tuple[CallProblem | None, int]:
    """Fill rows of `packed` (rows, packed_width(n_samples)) and `dosage` (rows, n_samples) from lines of a VCF.

    columns: of `split_lines`. target: int64, for each row of the lines in turn (`count_rows`) the row of the output,
    -1 for rows that are not wanted. threshold: how far from a whole number the dosage of a record without GT may be
    and still be a call (as in `call_dosages`). Returns (the first problem or None, half-calls, with one missing allele
    of two, which become missing: once per row that is wanted). refuse_half_calls: the first one is a problem. With a
    problem the output is incomplete.
    """
    wanted = dosage is not None
    values = as_output(dosage, np.uint16, (len(packed), n_samples) if wanted else (0, 0))
    rows = as_output(packed, np.uint8, (len(packed), packed_width(n_samples)))
    status = np.zeros(5, np.int64)
    _read(
        as_input(text, np.uint8, "text", (None,)),
        as_input(columns, np.int64, "columns", (None, None)),
        n_samples,
        as_input(target, np.int64, "target", (None,)),
        rows,
        values,
        furthest_steps(threshold),
        refuse_half_calls,
        status,
    )
    problem, line, sample, position, n_half = status.tolist()
    return (CallProblem(problem, line, sample, position) if problem else None), n_half


@helper
def _key_place(text: Bytes, start: int, stop: int, first: int, second: int) -> int:
    """Which of the keys of FORMAT in [start, stop) is the one of these two letters; -1 if none."""
    place, key = start, 0
    while place < stop:
        end = place
        while end < stop and text[end] != _COLON:
            end += 1
        if end - place == 2 and text[place] == first and text[place + 1] == second:
            return key
        key += 1
        place = end + 1
    return -1


@helper
def _genotype(text: Bytes, start: int, stop: int, n_alt: int) -> tuple[int, int, int]:
    """(problem or 0, first allele, second allele) of the GT text in [start, stop)."""
    first, second, n = _NO_ALLELE, _NO_SECOND, 0
    place = start
    if place < stop and (text[place] == _BAR or text[place] == _SLASH):
        place += 1  # VCF 4.4 may say the phase of the first allele too
    while True:
        allele: Any = _NO_ALLELE
        if place < stop and text[place] == _DOT:
            place += 1
        else:
            digits = place
            allele = 0
            while place < stop and _ZERO <= text[place] <= _NINE and place - digits < 9:
                allele = 10 * allele + (np.int64(text[place]) - _ZERO)
                place += 1
            if place == digits:
                return _NO_GENOTYPE, 0, 0
            if allele > n_alt:
                return _ALLELE, 0, 0
        n += 1
        if n == 1:
            first = allele
        elif n == 2:
            second = allele
        else:
            return _PLOIDY, 0, 0
        if place == stop:
            return 0, first, second
        if text[place] != _BAR and text[place] != _SLASH:
            return _NO_GENOTYPE, 0, 0
        place += 1


@helper
def _expected(text: Bytes, start: int, stop: int, n_alt: int, allele: int) -> tuple[float, bool]:
    """(copies of `allele`, whether the call is haploid) expected by the GP list in [start, stop).

    NaN if the list is "."; -1 where it is malformed, -2 where it does not sum to 1.
    """
    if stop - start == 1 and text[start] == _DOT:
        return np.nan, False
    n = 1
    for place in range(start, stop):
        n += text[place] == _COMMA
    haploid = n == n_alt + 1
    if not haploid and n != (n_alt + 1) * (n_alt + 2) // 2:
        return -1.0, False
    total, copies = 0.0, 0.0
    a, b = 0, 0  # the genotype a/b with a <= b, in the order of the list
    for _ in range(n):
        end = find(text, start, stop, _COMMA)
        probability = decimal(text, start, end)
        if np.isnan(probability):
            return np.nan, haploid
        if probability < 0:
            return -1.0, haploid
        total += probability
        if haploid:
            copies += 2 * probability if b == allele else 0.0
            b += 1
        else:
            copies += probability * ((a == allele) + (b == allele))
            a += 1
            if a > b:
                a, b = 0, b + 1
        start = end + 1
    if abs(total - 1) > 0.05:
        return -2.0, haploid
    return copies / total, haploid


@helper
def _steps(value: float) -> Any:
    """A dosage in steps of 1/16384; -1 if it is beyond 0 to 2 by more than rounding. Not for NaN."""
    if value < -_ROUNDING or value > 2 + _ROUNDING:
        return -1
    return min(_MOST, max(0, np.int64(np.rint(value * DOSAGE_SCALE))))


@kernel(
    types.void(
        input_array(types.uint8, 1),
        input_array(types.int64, 2),
        types.int64,
        input_array(types.int64, 1),
        output_array(types.uint8, 2),
        output_array(types.uint16, 2),
        types.int64,
        types.boolean,
        output_array(types.int64, 1),
    )
)
def _read(
    text: Bytes,
    columns: Index,
    n_samples: int,
    target: Index,
    packed: Bytes,
    dosage: Steps,
    furthest: int,
    refuse_half_calls: bool,
    status: Index,
) -> None:
    first = np.empty(n_samples + 3, np.int16)
    second = np.empty(n_samples + 3, np.int16)
    start_of_ds = np.empty(n_samples, np.int64)
    end_of_ds = np.empty(n_samples, np.int64)
    own = np.empty(n_samples, np.uint16)
    want_dosage = dosage.shape[1] > 0
    row = 0
    for line in range(columns.shape[0]):
        n_alt = n_alt_alleles(text, columns, line)
        first_row = row
        row += n_alt
        wanted = 0
        for allele in range(n_alt):
            wanted += target[first_row + allele] >= 0
        if not wanted:
            continue
        half_calls_before = status[4]
        start, stop = columns[line, FORMAT], columns[line, FIRST_SAMPLE] - 1
        gt = _key_place(text, start, stop, 71, 84)
        ds = _key_place(text, start, stop, 68, 83)
        gp = _key_place(text, start, stop, 71, 80) if ds < 0 else -1
        by_dosage = ds if ds >= 0 else gp
        if not want_dosage and gt >= 0:
            by_dosage = -1
        if by_dosage < 0:
            start_of_ds[:] = -1
        place = _samples(
            text,
            columns[line, FIRST_SAMPLE],
            columns[line, END],
            gt,
            by_dosage,
            n_alt,
            first,
            second,
            start_of_ds,
            end_of_ds,
            refuse_half_calls,
            status,
        )
        if status[0]:
            status[1], status[3] = line, place
            return
        status[4] += (status[4] - half_calls_before) * (wanted - 1)
        for allele in range(1, n_alt + 1):
            to = target[first_row + allele - 1]
            if to < 0:
                continue
            if want_dosage or (gt < 0 and by_dosage >= 0):
                _dosages(text, ds >= 0, n_alt, allele, first, second, start_of_ds, end_of_ds, own, status)
                if status[0]:
                    status[1], status[3] = line, start_of_ds[status[2]]
                    return
                if want_dosage:
                    dosage[to] = own
            if gt >= 0 or by_dosage < 0:
                _pack(first, second, allele, n_samples, packed, to)
            else:
                _pack_dosages(own, furthest, packed, to)


@helper
def _samples(
    text: Bytes,
    place: int,
    stop: int,
    gt: int,
    by_dosage: int,
    n_alt: int,
    first: Alleles,
    second: Alleles,
    start_of_ds: Index,
    end_of_ds: Index,
    refuse_half_calls: bool,
    status: Index,
) -> int:
    """Alleles of all samples, and where the text of their dosages is (-1: nowhere). Returns the place of a problem.

    gt, by_dosage: which part of a sample's column holds them, -1 for none.
    """
    n_samples = len(start_of_ds)
    last = max(gt, by_dosage)
    for sample in range(n_samples):
        if place > stop:
            status[0], status[2] = _FEW, sample
            return stop
        if gt == 0 and by_dosage < 0:
            # Nearly all calls of nearly all files: two digits around a bar or slash, then a tab or colon.
            word = load_uint32(text, place)
            a: Any = np.int64(word & 0xFF) - _ZERO
            b: Any = np.int64((word >> 16) & 0xFF) - _ZERO
            between, after = (word >> 8) & 0xFF, word >> 24
            if (
                0 <= a <= min(9, n_alt)
                and 0 <= b <= min(9, n_alt)
                and between in (_BAR, _SLASH)
                and after in (_TAB, _COLON)
                and place + 3 < stop
            ):
                first[sample], second[sample] = a, b
                place = place + 4 if after == _TAB else find(text, place + 4, stop, _TAB) + 1
                continue
        first[sample], second[sample] = _NO_ALLELE, _NO_ALLELE
        if by_dosage >= 0:
            start_of_ds[sample] = -1
        part, end = 0, place - 1
        while part <= last:
            begin = end + 1
            end = begin
            while end < stop and text[end] != _COLON and text[end] != _TAB:
                end += 1
            if part == gt:
                problem, a, b = _genotype(text, begin, end, n_alt)
                if problem:
                    status[0], status[2] = problem, sample
                    return begin
                if b == _NO_SECOND:
                    first[sample], second[sample] = a, (_NO_ALLELE if a == _NO_ALLELE else _NO_SECOND)
                elif a >= 0 and b >= 0:
                    first[sample], second[sample] = a, b
                elif a >= 0 or b >= 0:
                    if refuse_half_calls:
                        status[0], status[2] = HALF_CALL, sample
                        return begin
                    status[4] += 1
            if part == by_dosage:
                start_of_ds[sample], end_of_ds[sample] = begin, end
            part += 1
            if end >= stop or text[end] == _TAB:
                break
        place = find(text, max(end, place), stop, _TAB) + 1
    if place <= stop:
        status[0], status[2] = _MANY, n_samples
    return place


@helper
def _dosages(
    text: Bytes,
    is_ds: bool,
    n_alt: int,
    allele: int,
    first: Alleles,
    second: Alleles,
    start_of_ds: Index,
    end_of_ds: Index,
    own: Steps,
    status: Index,
) -> None:
    """Dosages of `allele` of all samples into `own`; where there is none, what the call says."""
    for sample in range(len(own)):
        haploid = second[sample] == _NO_SECOND
        start, end = start_of_ds[sample], end_of_ds[sample]
        value = np.nan
        if start >= 0 and is_ds:
            if not (end - start == 1 and text[start] == _DOT):
                start, end = list_item(text, start, end, allele - 1)
                value = decimal(text, start, end) if start >= 0 else -1.0
            # A number below 0 beyond rounding is none either; the text is the same to look at.
            if value == -1.0:
                status[0], status[2] = _NO_NUMBER, sample
                return
            value = 2 * value if haploid else value
        elif start >= 0:
            value, _ = _expected(text, start, end, n_alt, allele)
            if value < 0:
                status[0], status[2] = _NO_NUMBER if value == -1.0 else _PROBABILITIES, sample
                return
        if not np.isnan(value):
            steps = _steps(value)
            if steps < 0:
                status[0], status[2] = _RANGE, sample
                return
            own[sample] = steps
        elif first[sample] == _NO_ALLELE:
            own[sample] = DOSAGE_MISSING
        else:
            b = first[sample] if haploid else second[sample]
            own[sample] = DOSAGE_SCALE * ((first[sample] == allele) + (b == allele))


@helper
def _pack(first: Alleles, second: Alleles, allele: int, n_samples: int, packed: Bytes, row: int) -> None:
    for sample in range(n_samples, len(first)):
        first[sample] = _NO_ALLELE  # padding
    for byte in range(packed.shape[1]):
        four = np.uint32(0)
        for j in range(4):
            sample = 4 * byte + j
            if sample < len(first):
                a, b = first[sample], second[sample]
                code = np.uint32(a == allele) + np.uint32((a if b == _NO_SECOND else b) == allele)
                code = np.uint32(MISSING) if a == _NO_ALLELE else code
                four |= code << np.uint32(2 * j)
        packed[row, byte] = np.uint8(four)


@helper
def _pack_dosages(own: Steps, furthest: int, packed: Bytes, row: int) -> None:
    for byte in range(packed.shape[1]):
        four = np.uint32(0)
        for j in range(4):
            sample = 4 * byte + j
            code = np.uint32(MISSING)
            if sample < len(own) and own[sample] != DOSAGE_MISSING:
                nearest = (np.int64(own[sample]) + DOSAGE_SCALE // 2) // DOSAGE_SCALE
                if abs(np.int64(own[sample]) - nearest * DOSAGE_SCALE) <= furthest:
                    code = np.uint32(nearest)
            four |= code << np.uint32(2 * j)
        packed[row, byte] = np.uint8(four)
