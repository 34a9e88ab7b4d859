"""Which allele the effect is per copy of, where names alone don't say it: tools are known by the columns they write.

REF and ALT, or allele 1 and allele 2, are the effect allele in some files and the other allele in others: SAIGE writes
Allele1, Allele2 with the effect on the second, METAL the same names with the effect on the first. A file is taken by
its tool's signature or not at all; then the caller has to say it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from conversion.summary.fields import canonical

__all__ = ["AMBIGUOUS_PAIRS", "Signature", "frequency_is_of_other", "partner_of", "signature_of"]


@dataclass(frozen=True)
class Signature:
    """A tool that is known by its columns.

    needs: canonical names that are all there; one_of: of which at least one is; columns: field -> canonical name.
    other_among: the other allele is the one of these two columns that is not the effect allele.
    alleles_in_id: the id is chromosome:position_OTHER/EFFECT.
    """

    tool: str
    needs: frozenset[str]
    one_of: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    other_among: tuple[str, str] | None = None
    alleles_in_id: bool = False

    def without_alleles(self) -> Signature:
        """The same tool, with the alleles left to somebody else."""
        columns = {key: name for key, name in self.columns.items() if key not in ("effect_allele", "other_allele")}
        return replace(self, columns=columns, other_among=None, alleles_in_id=False)

    def fits(self, names: Collection[str]) -> bool:
        """Whether a header of these canonical names is this tool's."""
        return self.needs <= set(names) and (not self.one_of or bool(self.one_of & set(names)))


def _needs(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The first that fits is taken.
SIGNATURES: Sequence[Signature] = (
    Signature(
        "EPACTS",
        _needs("MARKER_ID GENOCNT CALLRATE BEG"),
        columns={"variant_id": "MARKER_ID", "contig": "CHROM", "position": "BEG"},
        alleles_in_id=True,
    ),
    Signature(
        "GWAS Catalog, harmonised",
        _needs("HM_RSID HM_EFFECT_ALLELE HM_OTHER_ALLELE P_VALUE"),
        columns={
            "variant_id": "HM_RSID",
            "contig": "HM_CHROM",
            "position": "HM_POS",
            "effect_allele": "HM_EFFECT_ALLELE",
            "other_allele": "HM_OTHER_ALLELE",
            "beta": "HM_BETA",
            "odds_ratio": "HM_ODDS_RATIO",
            "ci_lower": "HM_CI_LOWER",
            "ci_upper": "HM_CI_UPPER",
            "frequency": "HM_EFFECT_ALLELE_FREQUENCY",
        },
    ),
    Signature(
        "GWAS-SSF",
        _needs("EFFECT_ALLELE OTHER_ALLELE BASE_PAIR_LOCATION RSID"),
        columns={"variant_id": "RSID", "effect_allele": "EFFECT_ALLELE", "other_allele": "OTHER_ALLELE"},
    ),
    Signature(
        "plink2 --glm",
        _needs("REF ALT A1"),
        columns={"effect_allele": "A1"},
        other_among=("REF", "ALT"),
    ),
    Signature(
        "regenie",
        _needs("ALLELE0 ALLELE1 GENPOS LOG10P"),
        columns={"effect_allele": "ALLELE1", "other_allele": "ALLELE0", "position": "GENPOS"},
    ),
    Signature(
        "BOLT-LMM",
        _needs("ALLELE0 ALLELE1 GENPOS BP"),
        one_of=frozenset({"P_BOLT_LMM"}),
        columns={"effect_allele": "ALLELE1", "other_allele": "ALLELE0", "p": "P_BOLT_LMM"},
    ),
    Signature(
        "BOLT-LMM",
        _needs("ALLELE0 ALLELE1 GENPOS BP P_BOLT_LMM_INF"),
        columns={"effect_allele": "ALLELE1", "other_allele": "ALLELE0", "p": "P_BOLT_LMM_INF"},
    ),
    Signature(
        "regenie or BOLT-LMM",
        _needs("ALLELE0 ALLELE1 A1FREQ"),
        columns={"effect_allele": "ALLELE1", "other_allele": "ALLELE0"},
    ),
    Signature(
        "SAIGE",
        _needs("ALLELE1 ALLELE2"),
        one_of=frozenset({"AC_ALLELE2", "AF_ALLELE2"}),
        columns={"effect_allele": "ALLELE2", "other_allele": "ALLELE1"},
    ),
    Signature(
        "METAL",
        _needs("MARKERNAME ALLELE1 ALLELE2 DIRECTION"),
        one_of=frozenset({"ZSCORE", "EFFECT"}),
        columns={"effect_allele": "ALLELE1", "other_allele": "ALLELE2"},
    ),
    Signature(
        "GIANT",
        _needs("MARKERNAME ALLELE1 ALLELE2 FREQ_ALLELE1_HAPMAPCEU"),
        columns={"effect_allele": "ALLELE1", "other_allele": "ALLELE2"},
    ),
    Signature(
        "FinnGen",
        _needs("REF ALT AF_ALT SEBETA"),
        columns={"effect_allele": "ALT", "other_allele": "REF", "frequency": "AF_ALT"},
    ),
)

# Pairs of columns that hold the two alleles without saying which is the effect allele; the likelier one first.
AMBIGUOUS_PAIRS: Sequence[tuple[str, str]] = (
    ("ALLELE1", "ALLELE2"),
    ("AL1", "AL2"),
    ("ALT", "REF"),
    ("ALTERNATE_ALLELE", "REFERENCE_ALLELE"),
    ("REFERENCE_ALLELE", "OTHER_ALLELE"),
    ("ALLELE1", "ALLELE0"),
    ("ALLELEB", "ALLELEA"),
    ("MINOR_ALLELE", "MAJOR_ALLELE"),
    ("A1", "A2"),
    ("A1", "A0"),
    ("EFFECT_ALLELE", "OTHER_ALLELE"),
    ("EA", "NEA"),
)


def signature_of(names: Sequence[str]) -> Signature | None:
    """The tool that wrote a header of these names, or None."""
    known = {canonical(name) for name in names}
    return next((signature for signature in SIGNATURES if signature.fits(known)), None)


def partner_of(column: str, names: Sequence[str]) -> str | None:
    """The column with the other one of the two alleles, where `column` has one of them."""
    by_name = {canonical(name): name for name in names}
    mine = canonical(column)
    for pair in AMBIGUOUS_PAIRS:
        if mine in pair:
            partner = pair[1 - pair.index(mine)]
            if partner in by_name:
                return by_name[partner]
    return None


# Names of frequencies that say by themselves which column's allele they count.
_COUNTED = {
    "AF_ALT": "ALT",
    "AF_ALLELE2": "ALLELE2",
    **dict.fromkeys(("A1FREQ", "A1_FREQ", "FREQ_A1", "FREQ1", "FREQ1_HAPMAP", "AF1", "FREQ_ALLELE1"), "1"),
    **dict.fromkeys(("FREQALLELE1HAPMAPCEU", "FREQ_ALLELE1_HAPMAPCEU"), "1"),
}


def frequency_is_of_other(frequency: str, effect_allele: str) -> bool:
    """Whether a column counts the other allele by its own name: FREQ1 where the effect allele is Allele2."""
    counted, effect = _COUNTED.get(canonical(frequency)), canonical(effect_allele)
    if counted is None:
        return False
    if counted == "1":
        return effect in ("A2", "ALLELE2", "AL2", "ALLELE0", "A0")
    pair = next((pair for pair in AMBIGUOUS_PAIRS if counted in pair and effect in pair), None)
    return pair is not None and effect != counted
