"""What a contig is: autosome, sex chromosome, mitochondrion, or a piece that no chromosome has been given to.

Calls on X outside the pseudo-autosomal regions, on Y and on MT are haploid in some samples, so a store says for each
variant which of these it is on. Names follow the file ("chr7", "7", "NC_000007.14"); numbers above the autosomes
follow PLINK: for n autosomes n + 1 is X, n + 2 is Y, n + 3 is the pseudo-autosomal region of X, n + 4 is MT.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.files import exists
from daskgen.inputs.text import rows_of

__all__ = ["AUTOSOME", "GENOMES", "MT", "ROLES", "UNPLACED", "Genome", "X", "Y", "genome_of", "roles_of"]

AUTOSOME, X, Y, MT, UNPLACED = range(5)
ROLES = ("autosome", "X outside PAR", "Y", "MT", "unplaced")
"""Meaning of the role codes 0 to 4, as `contig_role` and `variant_ploidy_class` hold them.

Pseudo-autosomal contigs (PAR1, PAR2, XY) are diploid in everyone and count as autosomes. In birds Z has the role of
X and W that of Y, and the sex with one copy is the female one.
"""

_ROLE_WORDS = {"autosome": AUTOSOME, "par": AUTOSOME, "x": X, "y": Y, "mt": MT, "unplaced": UNPLACED}
_PSEUDO_AUTOSOMAL = {"XY", "PAR", "PAR1", "PAR2", "PAR_1", "PAR_2", "X_PAR", "X_PAR1", "X_PAR2"}
_ORGANELLE = {"M", "MT", "MITO", "CHRM", "PT", "PLTD", "CP", "C_MT"}
_UNPLACED = re.compile(r"(?i)(^0$|^un|_random$|_alt$|_fix$|scaffold|scaf|contig|^(gl|ki|nw_|nt_|jh|aadn|hla|ebv))")
# RefSeq accessions of the human chromosomes: NC_000001 to NC_000024, whatever the version; NC_012920 is MT.
_HUMAN_REFSEQ = re.compile(r"(?i)^NC_0+(\d{1,6})\.\d+$")
_HUMAN_REFSEQ_MT = 12920


@dataclass(frozen=True)
class Genome:
    """Chromosomes of a species.

    autosomes: their number, or None where any name that is not otherwise known is one (plants, whose chromosomes
    have names such as 3B, Gm05 or LG2); sex: names of the chromosomes that take the roles of X and Y; haploid_sex:
    code of the sex with one X (1 male, 2 female); plink_codes: whether numbers above the autosomes are PLINK's;
    named: names given in a file.
    """

    name: str
    autosomes: int | None
    sex: tuple[str, ...] = ("X", "Y")
    haploid_sex: int = 1
    plink_codes: bool = True
    named: Mapping[str, int] = field(default_factory=dict)

    def role(self, contig: str) -> int:
        """Role code of a contig. InputError for a number that this genome does not have."""
        if self.named:
            return self._named_role(contig)
        name = re.sub(r"(?i)^(chr(omosome)?)[_.]?", "", contig) or contig
        if self.name == "human" and (refseq := _HUMAN_REFSEQ.match(contig)):
            number = int(refseq[1])
            return MT if number == _HUMAN_REFSEQ_MT else self._number_role(contig, number)
        if _UNPLACED.search(name):
            return UNPLACED
        if name.isdecimal():
            return self._number_role(contig, int(name))
        upper = name.upper()
        if upper in _ORGANELLE:
            return MT
        if upper in _PSEUDO_AUTOSOMAL:
            return AUTOSOME
        if upper in self.sex:
            return X + self.sex.index(upper)
        return AUTOSOME if self.autosomes is None else UNPLACED

    def _named_role(self, contig: str) -> int:
        try:
            return self.named[contig]
        except KeyError:
            raise InputError(
                f"contig {contig!r} is not in the genome file {self.name}.",
                expected=examples(self.named),
                do="add a line with the contig and its role",
            ) from None

    def _number_role(self, contig: str, number: int) -> int:
        if number == 0:
            return UNPLACED
        if self.autosomes is None or number <= self.autosomes:
            return AUTOSOME
        beyond = number - self.autosomes
        if self.plink_codes and beyond <= 4:
            return (X, Y, AUTOSOME, MT)[beyond - 1]
        more = sorted(g.name for g in GENOMES.values() if g.autosomes is None or g.autosomes >= number)
        raise InputError(
            f"contig {contig!r}: genome {self.name} has no chromosome {number}.",
            found=f"{self.autosomes} autosomes" + f", X, Y, XY and MT to {self.autosomes + 4}" * self.plink_codes,
            do=f"say which species it is with genome= (--genome): {', '.join(more)}, or a file with contig and role",
        )


GENOMES: dict[str, Genome] = {
    genome.name: genome
    for genome in (
        Genome("human", 22),
        Genome("mouse", 19),
        Genome("rat", 20),
        Genome("cattle", 29),
        Genome("pig", 18),
        Genome("sheep", 26),
        Genome("goat", 29),
        Genome("horse", 31),
        Genome("dog", 38),
        Genome("chicken", 39, sex=("Z", "W"), haploid_sex=2, plink_codes=False),
        Genome("maize", 10, sex=(), plink_codes=False),
        Genome("rice", 12, sex=(), plink_codes=False),
        Genome("soybean", 20, sex=(), plink_codes=False),
        Genome("plant", None, sex=(), plink_codes=False),
    )
}


def genome_of(genome: str | os.PathLike[str]) -> Genome:
    """The genome of that name, or the one that a two-column file (contig, role) describes.

    Roles in a file: autosome, PAR, X, Y, MT, unplaced. Raises UsageError for a name that is neither.
    """
    text = os.fspath(genome)
    if text.lower() in GENOMES:
        return GENOMES[text.lower()]
    if not exists(text):
        raise UsageError(
            f"there is no genome {text!r}.",
            expected=", ".join(GENOMES),
            do="or the path of a file with two columns, contig and role (autosome, PAR, X, Y, MT, unplaced)",
        )
    named: dict[str, int] = {}
    for number, words in rows_of(text):
        if len(words) != 2 or words[1].lower() not in _ROLE_WORDS:
            raise InputError(
                f"{text}, line {number:,} does not give a contig its role.",
                found=" ".join(words)[:80],
                expected=f"two columns, the contig and one of {', '.join(_ROLE_WORDS)}",
            )
        named[words[0]] = _ROLE_WORDS[words[1].lower()]
    if not named:
        raise InputError(f"{text} is empty: it names no contigs.")
    return Genome(text, None, named=named)


def roles_of(genome: Genome, contigs: Iterable[str]) -> np.ndarray:
    """Role codes of contigs, uint8."""
    return np.fromiter((genome.role(contig) for contig in contigs), np.uint8)
