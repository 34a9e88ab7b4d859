"""What a column of summary statistics can be, and the names under which it is met: the one table of synonyms.

Names are compared in capitals, with "_" for "-", "." and blanks. A name stands here only if it always means the same:
REF, ALT, ALLELE1, ALLELE2 and REFERENCE_ALLELE do not (`signatures`), and R2 is the quality of imputation in some files
and the variance that a variant explains in others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FIELDS", "Field", "canonical", "field_called", "field_of", "is_known", "synonym_table"]


@dataclass(frozen=True)
class Field:
    """One kind of column.

    synonyms: names that it has; the first is its exact name, which wins where a file has several of them.
    weak: names that have other uses as well, taken only where none of the synonyms is there.
    """

    name: str
    meaning: str
    synonyms: tuple[str, ...]
    weak: tuple[str, ...] = ()


def _field(name: str, meaning: str, synonyms: str, weak: str = "") -> Field:
    return Field(name, meaning, tuple(synonyms.split()), tuple(weak.split()))


_FIELDS = (
    _field(
        "variant_id",
        "rs number, or chromosome:position:alleles",
        "SNP SNPID SNP_ID RSID RSIDS RS_ID RS RS_NUMBER RS_NUMBERS MARKERNAME MARKER_NAME MARKERID MARKER_ID ID "
        "VARIANT_ID VARIANTID PREDICTOR",
        weak="MARKER NAME",
    ),
    _field("contig", "chromosome", "CHR CHROM CHROMOSOME CHRM CONTIG HG18CHR HG18CHRC HG19CHR HG19CHRC HG38CHR"),
    _field(
        "position",
        "base pair",
        "BP POS POSITION BASE_PAIR_LOCATION BASE_PAIR BASEPAIR BPOS BP_HG19 POS_HG19",
    ),
    _field(
        "effect_allele",
        "the allele that the effect is per copy of",
        "EFFECT_ALLELE A1 EA EFFECTALLELE INC_ALLELE TESTED_ALLELE CODED_ALLELE EFF_ALL EFF_ALLELE EFFECT_ALL "
        "RISK_ALLELE",
    ),
    _field(
        "other_allele",
        "the other allele",
        "OTHER_ALLELE A2 OA NEA OTHERALLELE NON_EFFECT_ALLELE NONEFFECT_ALLELE NONEFFECTALLELE DEC_ALLELE "
        "NONCODED_ALLELE A0",
        weak="OMITTED",
    ),
    _field(
        "beta",
        "effect: of a continuous trait, or the logarithm of an odds ratio",
        "BETA B EFFECT EFFECTS LOG_ODDS LOGOR LOG_OR LN_OR EST ESTIMATE BETA1 ES EFFECT_A1 EFFECT_SIZE EFFECTSIZE "
        "SIGNED_SUMSTAT",
    ),
    _field("odds_ratio", "odds ratio", "OR ODDS_RATIO ODDSRATIO"),
    _field(
        "z",
        "z statistic, signed",
        "Z ZSCORE Z_SCORE ZSTAT Z_STAT ZSTATISTIC Z_STATISTIC ZVALUE Z_VALUE EZ",
        weak="T_STAT TSTAT",
    ),
    _field(
        "se",
        "standard error of the effect (for an odds ratio: of its logarithm, or of itself)",
        "SE STDERR STD_ERR STD_ERROR SEBETA SE_BETA BETA_SE STDERRLOGOR STANDARDERROR STANDARD_ERROR LOG(OR)_SE "
        "LOGOR_SE OR_SE SE_OR EFFECT_SE",
    ),
    _field("ci_lower", "lower end of the 95 % confidence interval", "CI_LOWER L95 OR_95L LOWER_95 CI_95_LOWER"),
    _field("ci_upper", "upper end of the 95 % confidence interval", "CI_UPPER U95 OR_95U UPPER_95 CI_95_UPPER"),
    _field("p", "p value", "P PVALUE P_VALUE PVAL P_VAL GC_PVALUE GC_P_VALUE WALD_P P_WALD P_BOLT_LMM"),
    _field(
        "log10_p",
        "-log10 of the p value",
        "LOG10P MLOG10P LOG10_P NEG_LOG_10_P_VALUE NEG_LOG10_P_VALUE NEG_LOG10_P NLOG10P MLOGP MINUS_LOG10_P LP",
    ),
    _field(
        "n",
        "sample size",
        "N NCOMPLETESAMPLES N_COMPLETE_SAMPLES TOTALSAMPLESIZE TOTAL_SAMPLE_SIZE TOTALN TOTAL_N SAMPLESIZE "
        "SAMPLE_SIZE OBS_CT N_SAMPLES N_SAMPLE N_TOTAL",
        weak="WEIGHT NS SS",
    ),
    _field(
        "n_effective",
        "effective sample size: the sum over cohorts of 4 / (1/cases + 1/controls)",
        "NEFF N_EFF N_EFFECTIVE SUMNEFF SUM_NEFF NEFF_SUM",
    ),
    _field("n_effective_half", "half the effective sample size (doubled when read)", "NEFF_HALF NEFFDIV2 NEFFHALF"),
    _field("n_cases", "number of cases", "N_CASES N_CAS N_CASE NCASE NCASES NCAS NCA CASEN CASE_N"),
    _field(
        "n_controls",
        "number of controls",
        "N_CONTROLS N_CON N_CONTROL NCONTROL NCONTROLS NCON NCO CONTROLN CONTROL_N",
    ),
    _field(
        "frequency",
        "frequency of the effect allele",
        "EAF A1FREQ A1_FREQ FREQ_A1 FREQ1 FREQ1_HAPMAP CEUAF FREQALLELE1HAPMAPCEU FREQ_ALLELE1_HAPMAPCEU "
        "FREQ_ALLELE1 EFFECT_ALLELE_FREQ EFFECT_ALLELE_FREQUENCY FREQ_EFFECT FREQ_EFFECT_ALLELE EFF_ALL_FREQ "
        "CODED_ALLELE_FREQUENCY AF1 FRQ AF_ALLELE2 AF_ALT",
        weak="FREQ FREQUENCY ALLELEFREQ ALLELE_FREQ",
    ),
    _field("minor_frequency", "frequency of the rarer allele, whichever that is", "MAF MINOR_AF"),
    _field("info", "quality of imputation", "INFO IMPINFO IMP_INFO INFO_SCORE INFOSCORE RSQ MACH_R2"),
    _field("direction", "signs of the effect in the cohorts of a meta-analysis (? = absent)", "DIRECTION DIREC DIRE"),
)

FIELDS: Mapping[str, Field] = {field.name: field for field in _FIELDS}

_BY_SYNONYM = {synonym: field.name for field in _FIELDS for synonym in (*field.synonyms, *field.weak)}

# Names that occur in headers and mean different things in different files, or nothing that is used here.
_OTHER_NAMES = {"REF", "ALT", "ALLELE0", "ALLELE1", "ALLELE2", "AL1", "AL2", "TEST", "CHISQ", "NGT", "STRAND"}


def canonical(name: str) -> str:
    """A column's name as it is compared: in capitals, "_" for "-", "." and blanks, without quotes."""
    return re.sub(r"[-. ]+", "_", name.strip().strip('"').lstrip("#").strip()).upper()


def field_of(column: str) -> str | None:
    """The field that a column of this name has, or None."""
    return _BY_SYNONYM.get(canonical(column))


def field_called(key: str) -> str | None:
    """The field that a caller means by `key`: its name here, or any synonym (R's SNP, A1, effect, P, ...)."""
    return key.lower() if key.lower() in FIELDS else field_of(key)


def is_known(name: str) -> bool:
    """Whether a word is a column's name that is known, so that its line may be a header."""
    text = canonical(name)
    return text in _BY_SYNONYM or text in _OTHER_NAMES


def synonym_table() -> str:
    """The table as text: each field with its meaning and the column names that are recognised."""
    width = max(map(len, FIELDS)) + 2
    lines = []
    for field in _FIELDS:
        lines.append(f"{field.name:<{width}}{field.meaning}")
        line = ""
        for word in (*field.synonyms, *(f"({name})" for name in field.weak)):
            if len(line) + len(word) > 90:
                lines.append(f"{'':<{width}}{line}")
                line = ""
            line = f"{line} {word}".strip()
        lines.append(f"{'':<{width}}{line}")
    return "\n".join(lines)
