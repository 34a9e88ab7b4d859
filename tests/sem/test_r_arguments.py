"""Whoever calls a function as in R GenomicSEM is told what the argument is called here, or why it is not needed."""

from __future__ import annotations

import inspect

import pytest

import conversion
import daskgen as dg
from daskgen.errors import UsageError

WHERE = "dg.cluster.connect"
R_ARGUMENTS = {
    conversion.munge: {
        "hm3": "reference",
        "trait.names": "trait_names",
        "N": "n",
        "info.filter": "info_filter",
        "maf.filter": "maf_filter",
        "column.names": "columns",
        "overwrite": "force",
        "parallel": WHERE,
        "cores": WHERE,
        "log.name": "logging",
    },
    conversion.sumstats: {
        "ref": "reference",
        "trait.names": "trait_names",
        "N": "n",
        "OLS": 'scale="linear"',
        "betas": 'scale="standardised"',
        "se.logit": 'scale="logistic"',
        "linprob": 'scale="linear_probability"',
        "keep.indel": "keep_indel",
        "direct.filter": "direct_filter",
        "parallel": WHERE,
        "cores": WHERE,
    },
    dg.ldsc.ldsc: {
        "sample.prev": "sample_prev",
        "population.prev": "population_prev",
        "ld": "ld_scores",
        "wld": "sep_weights=True",
        "trait.names": "traits",
        "n.blocks": "n_blocks",
        "chisq.max": "chisq_max",
        "chr": "select",
        "ldsc.log": "logging",
    },
    dg.sem.commonfactor: {"covstruc": "covstruct"},
    dg.sem.usermodel: {
        "covstruc": "covstruct",
        "CFIcalc": "cfi_calc",
        "std.lv": "std_lv",
        "Q_Factor": "q_factor",
        "toler": "not needed",
    },
    dg.sem.user_gwas: {
        "covstruc": "covstruct",
        "SNPs": "sumstats",
        "std.lv": "std_lv",
        "TWAS": "twas",
        "Q_SNP": "q_snp",
        "GC": "gc",
        "SNPSE": "snp_se",
        "toler": "not needed",
        "printwarn": "not needed",
        "parallel": WHERE,
        "cores": WHERE,
        "MPI": WHERE,
    },
    dg.sem.commonfactor_gwas: {
        "covstruc": "covstruct",
        "SNPs": "sumstats",
        "TWAS": "twas",
        "GC": "gc",
        "SNPSE": "snp_se",
        "toler": "not needed",
        "parallel": WHERE,
        "cores": WHERE,
        "MPI": WHERE,
    },
    dg.sem.rgmodel: {"LDSCoutput": "covstruct"},
    dg.sem.write_model: {"Loadings": "loadings", "S_LD": "s_ld"},
    dg.sem.index_s: {"LDSC_OBJECT": "covstruct"},
    dg.sem.sub_sv: {"LDSC_OBJECT": "covstruct", "INDEXVALS": "index_vals", "TYPE": "type"},
    dg.simulate.sumstats: {"covmat": "S", "ld": "ld_scores", "int": "intercepts"},
}
THE_SAME = {
    dg.sem.usermodel: ["estimation", "model", "imp_cov", "fix_resid"],
    dg.sem.user_gwas: ["estimation", "model", "sub", "smooth_check", "fix_measurement"],
    dg.sem.commonfactor_gwas: ["estimation", "smooth_check"],
    dg.sem.write_model: ["cutoff", "fix_resid", "bifactor", "mustload", "common"],
    dg.sem.local_srmd: ["unconstrained", "constrained", "lhsvar", "rhsvar"],
    dg.sem.index_s: ["R"],
    dg.ldsc.ldsc: ["traits", "sep_weights", "stand", "select"],
}


@pytest.mark.parametrize(
    ("function", "given", "answer"),
    [
        pytest.param(function, given, answer, id=f"{function.__name__}-{given}")
        for function, arguments in R_ARGUMENTS.items()
        for given, answer in arguments.items()
    ],
)
def test_an_argument_of_r_is_answered(function, given, answer):
    with pytest.raises(UsageError) as caught:
        function(**{given: 1})
    assert answer in str(caught.value.do)


@pytest.mark.parametrize("function", THE_SAME)
def test_arguments_of_the_same_name_are_there(function):
    assert set(THE_SAME[function]) <= set(inspect.signature(function).parameters)
