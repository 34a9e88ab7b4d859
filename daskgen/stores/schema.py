"""What each kind of store holds, as data: arrays, dimensions, types. Checked on opening and on writing.

The tables are the store specification (`docs/stores.md` shows them); an array that is not listed is allowed and
left alone, a listed one must have the stated dimensions and type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SCHEMAS", "ArraySpec", "StoreSchema", "dtype_name", "validate"]


@dataclass(frozen=True)
class ArraySpec:
    """One array: its dimensions, type name ("uint8", "float64", "string", ...) and meaning.

    other_dims: dimensions that it may have instead.
    """

    dims: tuple[str, ...]
    dtype: str
    doc: str
    required: bool = True
    other_dims: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class StoreSchema:
    """One kind of store: its arrays by name and the root attributes that it adds to the common ones."""

    kind: str
    doc: str
    arrays: Mapping[str, ArraySpec]
    attrs: Mapping[str, str]


def _optional(dims: tuple[str, ...], dtype: str, doc: str) -> ArraySpec:
    return ArraySpec(dims, dtype, doc, required=False)


COMMON_ATTRS = {
    "kind": "the kind of store",
    "daskgen_format": "integer, starts at 1",
    "store_id": "made new for every store that is written",
    "created_by": "daskgen and its version",
    "run_key": "hash of command, arguments that affect numbers, format and ids of the inputs",
    "complete": "true once every chunk group has its mark",
    "provenance": "sources, arguments, allele convention, records dropped by reason",
}

V, S = ("variants",), ("samples",)

_VARIANTS = {
    "variant_contig": ArraySpec(V, "int32", "index into contig_id"),
    "variant_position": ArraySpec(V, "int32", "base pair, 1-based; 0 = unknown"),
    "variant_id": ArraySpec(V, "string", "identifier as in the source"),
    "variant_allele": ArraySpec(("variants", "alleles"), "string", "allele 1 is the counted or effect allele"),
    "contig_id": ArraySpec(("contigs",), "string", "names of contigs"),
}

GENOTYPES = StoreSchema(
    "genotypes",
    "Genotypes of samples at variants, two bits each, and dosages where the source has them.",
    {
        "call_genotype_packed": _optional(
            ("variants", "packed_samples"),
            "uint8",
            "four samples a byte, low bits first; 0, 1, 2 copies of allele 1, 3 missing; padding is 3; absent where "
            "only dosages are stored",
        ),
        "call_dosage": _optional(("variants", "samples"), "uint16", "copies of allele 1 times 16384; 65535 missing"),
        **_VARIANTS,
        "variant_genetic_position": ArraySpec(V, "float64", "centimorgan; 0 = unknown"),
        "variant_ploidy_class": ArraySpec(V, "uint8", "0 autosome, 1 X outside PAR, 2 Y, 3 MT, 4 unplaced"),
        "variant_allele_frequency": ArraySpec(V, "float32", "of allele 1 over all samples; NaN where none is called"),
        "variant_n_called": ArraySpec(V, "int32", "samples with a call"),
        "variant_n_het": ArraySpec(V, "int32", "samples with code 1"),
        "variant_info_score": _optional(V, "float32", "quality of imputation, INFO or r2; NaN = unknown"),
        "sample_id": ArraySpec(S, "string", "individual id (IID)"),
        "sample_family_id": ArraySpec(S, "string", "family id; 0 = none"),
        "sample_paternal_id": ArraySpec(S, "string", "0 = unknown"),
        "sample_maternal_id": ArraySpec(S, "string", "0 = unknown"),
        "sample_sex": ArraySpec(S, "int8", "1 male, 2 female, 0 unknown"),
        "sample_phenotype": ArraySpec(S, "float64", "the sixth .fam column; NaN where missing"),
        "contig_role": ArraySpec(("contigs",), "uint8", "as variant_ploidy_class"),
    },
    {"n_samples": "samples in a packed row", "counted_allele": "which allele of the source allele 1 is"},
)

SUMSTATS = StoreSchema(
    "sumstats",
    "GWAS summary statistics of several traits on one list of variants; NaN where a trait lacks the variant.",
    {
        "variant_id": _VARIANTS["variant_id"],
        "variant_allele": _VARIANTS["variant_allele"],
        "variant_contig": _optional(V, "int32", "index into contig_id"),
        "variant_position": _optional(V, "int32", "base pair"),
        "contig_id": _optional(("contigs",), "string", "names of contigs"),
        "trait": ArraySpec(("traits",), "string", "names of traits"),
        "z": _optional(("traits", "variants"), "float64", "signed statistic of allele 1 (purpose ldsc)"),
        "n": _optional(("traits", "variants"), "float64", "sample size (purpose ldsc)"),
        "beta": _optional(("traits", "variants"), "float64", "effect of allele 1 (purpose gwas)"),
        "se": _optional(("traits", "variants"), "float64", "standard error of beta (purpose gwas)"),
        "maf": _optional(V, "float64", "minor allele frequency of the reference (purpose gwas)"),
        "hsq": _optional(V, "float64", "variance of the predicted expression, where variants are genes (purpose gwas)"),
        "panel": _optional(V, "string", "panel that the expression was predicted with"),
        "trait_n": _optional(("traits",), "float64", "sample size of the study"),
        "n_kind": _optional(("traits",), "string", "total, effective or given"),
        "n_source": _optional(("traits",), "string", "columns, or what else, that n was taken from"),
        "sample_prev": _optional(
            ("traits",), "float64", "share of cases in the sample; NaN = not a case-control study"
        ),
        "population_prev": _optional(("traits",), "float64", "prevalence in the population; NaN likewise"),
        "scale": _optional(("traits",), "string", "scale of the source's effects"),
        "dropped": _optional(("traits", "reasons"), "int64", "rows of the trait's file that were dropped, by reason"),
        "reason": _optional(("reasons",), "string", "names of reasons"),
        "rows_read": _optional(("traits",), "int64", "rows of the trait's file"),
        "rows_kept": _optional(("traits",), "int64", "rows of it that are here"),
        "rows_turned": _optional(("traits",), "int64", "of these, with the reference's other allele as effect allele"),
    },
    {
        "purpose": "ldsc (z, n) or gwas (beta, se, maf)",
        "reference": "name, fingerprint and number of variants of the reference; traits are appended with the same one",
    },
)

LD_SCORES = StoreSchema(
    "ld_scores",
    "LD scores, univariate (one annotation) or stratified.",
    {
        **_VARIANTS,
        "variant_allele": _optional(("variants", "alleles"), "string", "alleles, where known"),
        "ld_score": ArraySpec(("variants", "annotations"), "float64", "sum of r2 with the annotation's variants"),
        "weight": _optional(V, "float64", "LD score over the regression's variants; NaN where there is none"),
        "M": _optional(("contigs", "annotations"), "float64", "variants (or values) that the scores sum over"),
        "M_5_50": _optional(("contigs", "annotations"), "float64", "of those, minor allele frequency above 0.05"),
        "annotation": ArraySpec(("annotations",), "string", "names of annotations"),
        "annotation_overlap": _optional(
            ("contigs", "annotations", "annotations_2"), "float64", "sums of products over variants of M_5_50"
        ),
        "annotation_is_binary": _optional(("contigs", "annotations"), "bool", "only 0 and 1 on the contig"),
    },
    {"M_scope": "contig, or genome where M and M_5_50 are known for all contigs together only (in the first row)"},
)

_K, _VV = ("trait", "trait_2"), ("vech", "vech_2")
COVSTRUCT = StoreSchema(
    "covstruct",
    "Genetic covariance of traits with its sampling covariance, named as R GenomicSEM's ldsc() names them.",
    {
        "S": ArraySpec(_K, "float64", "genetic covariance"),
        "V": ArraySpec(_VV, "float64", "sampling covariance of vech(S), column-wise lower triangle"),
        "I": _optional(_K, "float64", "LD-score regression intercepts"),
        "N": _optional(("vech",), "float64", "sample sizes"),
        "m": _optional((), "float64", "variants in the LD scores"),
        "S_Stand": _optional(_K, "float64", "genetic correlation"),
        "V_Stand": _optional(_VV, "float64", "sampling covariance of vech(S_Stand)"),
        "trait": ArraySpec(("trait",), "string", "names of traits"),
        "trait_2": _optional(("trait_2",), "string", "the same names"),
        "vech": _optional(("vech",), "string", "cells of the lower triangle, column by column: trait~~trait"),
        "vech_2": _optional(("vech_2",), "string", "the same cells"),
        "S_se": _optional(_K, "float64", "standard errors of S"),
        "S_Stand_se": _optional(_K, "float64", "standard errors of S_Stand, from V_Stand"),
        "I_se": _optional(_K, "float64", "standard errors of I"),
        "rg": _optional(_K, "float64", "genetic correlation; NaN where a heritability is not positive"),
        "rg_se": _optional(_K, "float64", "its standard error, by the jackknife of the ratio"),
        "p": _optional(_K, "float64", "two-sided p value of rg"),
        "mean_z_product": _optional(_K, "float64", "mean of z_1 z_2"),
        "n_variants": _optional(_K, "int64", "variants in the regression"),
        "h2": _optional(("trait",), "float64", "heritability on the scale of S"),
        "h2_se": _optional(("trait",), "float64", "its standard error"),
        "h2_observed": _optional(("trait",), "float64", "heritability on the observed scale"),
        "h2_observed_se": _optional(("trait",), "float64", "its standard error"),
        "intercept": _optional(("trait",), "float64", "diagonal of I"),
        "intercept_se": _optional(("trait",), "float64", "its standard error"),
        "ratio": _optional(("trait",), "float64", "(intercept - 1) / (mean chi-square - 1)"),
        "ratio_se": _optional(("trait",), "float64", "its standard error"),
        "mean_chisq": _optional(("trait",), "float64", "mean of z^2"),
        "lambda_gc": _optional(("trait",), "float64", "genomic control factor"),
        "chisq_max": _optional(("trait",), "float64", "variants with a larger z^2 were left out"),
        "n_removed": _optional(("trait",), "int64", "how many these were"),
        "sample_prev": _optional(("trait",), "float64", "share of cases in the sample; NaN: observed scale"),
        "population_prev": _optional(("trait",), "float64", "prevalence in the population; NaN: observed scale"),
    },
    {"n_blocks": "blocks of the jackknife"},
)

_P, _PV, _ROW = ("parameter",), (("parameter", "variant"), ("variant",)), ("variant",)
_TV = (("trait", "variant"), ("variant",))
GWAS = StoreSchema(
    "gwas",
    "Results per variant of one SEM fit per SNP or of an association scan.",
    {
        "variant_id": ArraySpec(_ROW, "string", "identifier"),
        "variant_allele": _optional(("variant", "allele"), "string", "allele 1 is the effect allele"),
        "variant_contig": _optional(_ROW, "int32", "index into contig_id"),
        "variant_position": _optional(_ROW, "int32", "base pair"),
        "contig_id": _optional(("contig",), "string", "names of contigs"),
        "maf": _optional(_ROW, "float64", "minor allele frequency of the reference"),
        "hsq": _optional(_ROW, "float64", "variance of the predicted expression (TWAS)"),
        "panel": _optional(_ROW, "string", "panel of the predicted expression (TWAS)"),
        "estimate": ArraySpec(_PV[0], "float64", "estimates; without parameter where there is one", False, _PV[1:]),
        "se": ArraySpec(_PV[0], "float64", "standard errors; of a scan by trait", True, (*_PV[1:], _TV[0])),
        "status": ArraySpec(_ROW, "int16", "0 good; the table is in the array's attributes", True, (_TV[0],)),
        "parameter": ArraySpec(_P, "string", "labels of parameters: lhs op rhs without blanks", False, ((),)),
        "beta": ArraySpec(_TV[0], "float64", "effect of allele 1 (scan)", False, _TV[1:]),
        "t": ArraySpec(_TV[0], "float64", "beta / se (scan)", False, _TV[1:]),
        "p": ArraySpec(_TV[0], "float64", "two-sided p value of t; 0 below 5e-324 (scan)", False, _TV[1:]),
        "n_called": ArraySpec(_TV[0], "int32", "analysed samples with a call (scan)", False, _TV[1:]),
        "allele_frequency": ArraySpec(_TV[0], "float64", "of allele 1 in these (scan)", False, _TV[1:]),
        "trait": ArraySpec(("trait",), "string", "names of phenotypes (scan)", False, ((),)),
        "n_samples": ArraySpec(("trait",), "int32", "analysed samples (scan)", False, ((),)),
        "n_fixed": ArraySpec(("trait",), "int32", "fixed effects, with the intercept (scan)", False, ((),)),
        "parameter_free": _optional(_P, "int32", "number among the free parameters of the model; 0 = defined"),
        "parameter_name": _optional(_P, "string", "the user's label in the model; empty = none"),
        "parameter_row": _optional(_P, "int32", "place in the model's table of parameters"),
        "fixed_parameter": _optional(("fixed_parameter",), "string", "labels of what is the same at every variant"),
        "fixed_estimate": _optional(("fixed_parameter",), "float64", "its value"),
        "fixed_parameter_name": _optional(("fixed_parameter",), "string", "the user's label in the model"),
        "fixed_parameter_row": _optional(("fixed_parameter",), "int32", "place in the model's table of parameters"),
        "chisq": _optional(_ROW, "float64", "chi-square of the model's fit"),
        "chisq_df": _optional((), "int32", "its degrees of freedom"),
        "aic": _optional(_ROW, "float64", "chisq + 2 x free parameters"),
        "factor": _optional(("factor",), "string", "factors that the variant acts on"),
        "q_snp": _optional(("factor", "variant"), "float64", "heterogeneity of the variant's effects (Q_SNP)"),
        "q_snp_df": _optional(("factor",), "int32", "its degrees of freedom"),
        "q": _optional(_ROW, "float64", "heterogeneity of the variant's effects, common factor"),
        "q_df": _optional((), "int32", "its degrees of freedom"),
        "z_smooth": _optional(_ROW, "float64", "largest change of a trait's Z by smoothing; 0 = none"),
    },
    {"command": "what made it", "arguments": "with what", "model": "the model, where it has a text"},
)

_PAIR = ("factor_pair",)

SEM_FIT = StoreSchema(
    "sem_fit",
    "A structural equation model fitted to a covariance structure.",
    {
        "parameter": ArraySpec(_P, "string", "rows of the model: lhs op rhs without blanks"),
        **{name: ArraySpec(_P, "string", f"{name} of the row") for name in ("lhs", "op", "rhs")},
        "est": ArraySpec(_P, "float64", "estimates"),
        "se": ArraySpec(_P, "float64", "standard errors; NaN for fixed parameters"),
        "est_std": ArraySpec(_P, "float64", "estimates of the fit to the genetic correlations"),
        "se_std": ArraySpec(_P, "float64", "their standard errors"),
        "est_std_all": ArraySpec(_P, "float64", "estimates with factors and traits of variance 1"),
        "p": ArraySpec(_P, "float64", "two-sided p value of est / se"),
        "constrained_se": ArraySpec(_P, "float64", "standard errors that count ties between parameters"),
        "chisq": ArraySpec((), "float64", "chi-square of the model"),
        "df": ArraySpec((), "float64", "its degrees of freedom"),
        "p_chisq": ArraySpec((), "float64", "its p value; NaN without degrees of freedom"),
        "aic": ArraySpec((), "float64", "chisq + 2 x free parameters"),
        "cfi": ArraySpec((), "float64", "comparative fit index; NaN where it was not asked for"),
        "srmr": ArraySpec((), "float64", "standardised root mean square residual"),
        "trait": ArraySpec(("trait",), "string", "names of the traits of the model"),
        "trait_2": ArraySpec(("trait_2",), "string", "the same names"),
        "implied_cov": ArraySpec(("trait", "trait_2"), "float64", "covariance that the model implies"),
        "residual_cov": ArraySpec(("trait", "trait_2"), "float64", "S less that"),
        "q_factor_1": _optional(_PAIR, "string", "a factor"),
        "q_factor_2": _optional(_PAIR, "string", "a factor that covaries with it"),
        "q_chisq": _optional(_PAIR, "float64", "misfit of the covariances between their indicators"),
        "q_df": _optional(_PAIR, "float64", "its degrees of freedom"),
        "q_p": _optional(_PAIR, "float64", "its p value"),
    },
    {
        "model": "in lavaan's language",
        "estimation": "DWLS or ML",
        "npar": "free parameters",
        "converged": "1, or 0",
        "warnings": "in words",
    },
)

PCA = StoreSchema(
    "pca",
    "Principal components of genotypes.",
    {
        "scores": ArraySpec(("sample", "component"), "float64", "unit eigenvectors of K times sqrt(eigenvalue)"),
        "variances": ArraySpec(("component",), "float64", "eigenvalues of K"),
        "variance_share": ArraySpec(("component",), "float64", "eigenvalue / tr(K)"),
        "residual": ArraySpec(("component",), "float64", "||K u - lambda u|| / largest eigenvalue"),
        "component": ArraySpec(("component",), "int64", "1, 2, ..."),
        "sample_id": ArraySpec(("sample",), "string", "individual id"),
        "loadings": _optional(("variant", "component"), "float64", "unit-length right singular vectors"),
        "variant_id": _optional(("variant",), "string", "identifier"),
        "mean": _optional(("variant",), "float64", "mean of the calls in the analysed samples"),
        "factor": _optional(("variant",), "float64", "scale factor"),
    },
    {"scale": "of the standardisation", "alpha": "of the standardisation", "passes": "over the genotypes"},
)

_PH, _PP = ("phenotype",), ("phenotype", "parameter")
_PPP, _PC = ("phenotype", "parameter", "parameter_2"), ("phenotype", "component")
_PCS, _PS, _PF = ("phenotype", "component", "sample"), ("phenotype", "sample"), ("phenotype", "fixed_effect")
REML = StoreSchema(
    "reml",
    "Fitted variance-component models, one per phenotype.",
    {
        "phenotype": ArraySpec(_PH, "string", "names of phenotypes"),
        "parameter": ArraySpec(("parameter",), "string", "names of components, then residual"),
        "component": ArraySpec(("component",), "string", "names of genetic components"),
        "sample_id": ArraySpec(("sample",), "string", "every sample of the genotypes"),
        "fixed_effect": ArraySpec(("fixed_effect",), "string", "names of fixed effects of any phenotype"),
        "variance_component": ArraySpec(_PP, "float64", "variances theta"),
        "covariance": ArraySpec(_PPP, "float64", "their sampling covariance, from the average information"),
        "monte_carlo_covariance": ArraySpec(_PPP, "float64", "their covariance over random probes"),
        "information": ArraySpec(_PPP, "float64", "average information"),
        "score": ArraySpec(_PP, "float64", "derivative of the log-likelihood"),
        "at_bound": ArraySpec(_PP, "bool", "the variance is at its bound"),
        "mean_diagonal": ArraySpec(_PP, "float64", "tr(K_g) / n; of the residual last"),
        "n_counted": ArraySpec(_PC, "int64", "c_g: variants that vary in the analysed samples"),
        "log_likelihood": ArraySpec(_PH, "float64", "restricted, with -(n - c)/2 log 2 pi"),
        "null_log_likelihood": ArraySpec(_PH, "float64", "without genetic variance"),
        "log_likelihood_error": ArraySpec(_PH, "float64", "Monte-Carlo standard error of log_likelihood"),
        "converged": ArraySpec(_PH, "bool", "the maximum was found"),
        "reason": ArraySpec(_PH, "string", "why the iteration ended"),
        "method": ArraySpec(_PH, "string", "exact or stochastic"),
        "history": ArraySpec(_PH, "string", "JSON: a record per iteration"),
        "n_samples": ArraySpec(_PH, "int64", "analysed samples"),
        "n_fixed": ArraySpec(_PH, "int64", "fixed effects"),
        "n_probes": ArraySpec(_PH, "int64", "random probes; 0 = exact"),
        "passes": ArraySpec(_PH, "int64", "passes over the genotypes"),
        "group": ArraySpec(_PH, "int64", "phenotypes of the same samples; row of variant_mean, variant_factor"),
        "fixed_effect_estimate": ArraySpec(_PF, "float64", "on the scale of the covariates; NaN = not in the model"),
        "fixed_effect_se": ArraySpec(_PF, "float64", "standard errors"),
        "fixed_effect_covariance": ArraySpec(
            ("phenotype", "fixed_effect", "fixed_effect_2"), "float64", "their covariance"
        ),
        "phenotype_value": ArraySpec(_PS, "float64", "as analysed; NaN elsewhere"),
        "projected": ArraySpec(_PS, "float64", "P y; NaN where the sample was not analysed"),
        "used": ArraySpec(_PS, "bool", "the sample was analysed"),
        "random_effect": _optional(_PCS, "float64", "BLUP"),
        "pev": _optional(_PCS, "float64", "its prediction error variance; NaN = not computed"),
        "pev_monte_carlo_se": _optional(_PCS, "float64", "its standard error over draws; 0 = exact"),
        "reliability": _optional(_PCS, "float64", "1 - pev / (theta_g k_ii)"),
        "snp_effect": _optional(("phenotype", "component", "variant"), "float64", "BLUP, of standardised genotypes"),
        "variant_mean": _optional(("group_row", "variant"), "float64", "mean of the calls in the analysed samples"),
        "variant_factor": _optional(("group_row", "variant"), "float64", "scale factor there"),
        "variant_id": _optional(("variant",), "string", "identifier"),
        "variant_contig": _optional(("variant",), "string", "name of the contig"),
        "variant_position": _optional(("variant",), "int64", "base pair"),
        "variant_allele": _optional(("variant", "allele"), "string", "allele 1 is the counted one"),
        "variant_set": _optional(("variant",), "int64", "which of several genotype sources"),
    },
    {"scale": "of the standardisation", "alpha": "of the standardisation", "seed": "of the probes"},
)

_DRAWS = ("chain", "draw")


def _of_traits(dim: str, dtype: str, doc: str) -> ArraySpec:
    """Of samples or variants, with an axis of traits where there are several."""
    return ArraySpec((dim,), dtype, doc, other_dims=((dim, "trait"),))


POSTERIOR = StoreSchema(
    "posterior",
    "Draws and means of a marker-effect model of one trait or several.",
    {
        "effect_mean": _of_traits("variant", "float64", "posterior mean of the effect of a copy of the counted allele"),
        "effect_sd": _of_traits("variant", "float64", "its posterior standard deviation"),
        "pip": _of_traits("variant", "float64", "share of the draws in which the effect is not 0"),
        "effect_centre": ArraySpec(("variant",), "float64", "mean number of counted alleles in the training samples"),
        "sample_id": ArraySpec(("sample",), "string", "of every sample of the genotypes"),
        "breeding_value": _of_traits("sample", "float64", "posterior mean"),
        "pev": _of_traits("sample", "float64", "posterior variance of the breeding value"),
        "reliability": _of_traits("sample", "float64", "1 - pev / genetic variance"),
        "phenotyped": _of_traits("sample", "int8", "1 where the sample had a record"),
        "quantity": ArraySpec(("quantity",), "string", "names of what is traced"),
        "trace": ArraySpec((*_DRAWS, "quantity"), "float64", "variances, proportions and heritability of every draw"),
        "location": ArraySpec(("location",), "string", "names of fixed and random effects"),
        "location_draws": ArraySpec((*_DRAWS, "location"), "float64", "their draws"),
        "effect_draw_place": _optional(("pair", "entry"), "int32", "chain and draw of each kept effect"),
        "effect_draw_variant": _optional(("entry",), "int32", "its marker"),
        "effect_draw_trait": _optional(("entry",), "int8", "its trait, where there are several"),
        "effect_draw_value": _optional(("entry",), "float32", "its value; what is not listed is 0"),
        "trait": _optional(("trait",), "string", "names of several traits"),
        "state": _optional(("state",), "string", "traits that a marker may affect, 0 or 1 for each"),
        "state_probability": _optional(("variant", "state"), "float64", "share of the draws in that state"),
    },
    {"method": "of the prior", "seed": "of the chains", "schedule": "exact, jwas or independent"},
)

SCHEMAS: Mapping[str, StoreSchema] = {
    s.kind: s for s in (GENOTYPES, SUMSTATS, LD_SCORES, COVSTRUCT, GWAS, SEM_FIT, PCA, REML, POSTERIOR)
}


def dtype_name(dtype: Any) -> str:
    """NumPy's name of the type; every kind of text is "string"."""
    return "string" if getattr(dtype, "kind", "?") in "TOU" else str(dtype)


def validate(kind: str, arrays: Mapping[str, tuple[tuple[str, ...] | None, Any, tuple[int, ...]]]) -> list[str]:
    """Problems of `arrays` (name -> dimension names, dtype, shape) against the schema of `kind`; none if fine."""
    schema = SCHEMAS.get(kind)
    if schema is None:
        return []
    problems: list[str] = []
    lengths: dict[str, tuple[int, str]] = {}
    for name, spec in schema.arrays.items():
        if name not in arrays:
            if spec.required:
                problems.append(f"{name}: missing; a {kind} store needs it ({spec.doc})")
            continue
        dims, dtype, _ = arrays[name]
        if tuple(dims or ()) not in (spec.dims, *spec.other_dims):
            problems.append(f"{name}: dimensions {dims} found, {spec.dims} expected")
        if dtype_name(dtype) != spec.dtype:
            problems.append(f"{name}: type {dtype_name(dtype)} found, {spec.dtype} expected")
    for name, (dims, _, shape) in arrays.items():
        for dim, length in zip(dims or (), shape, strict=False):
            known = lengths.setdefault(dim, (length, name))
            if known[0] != length:
                problems.append(f"{name}: dimension {dim} has length {length}, but {known[0]} in {known[1]}")
    return problems
