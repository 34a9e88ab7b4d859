"""Arguments under another tool's name are answered with ours; signatures stay visible."""

from __future__ import annotations

import inspect
import pickle

import pytest

import conversion
import daskgen as dg
from daskgen import plotting
from daskgen.errors import UsageError
from daskgen.inputs.arguments import NAMES, NOTES, known_arguments, our_name


def public_functions():
    for package in (conversion, dg.bayes, dg.cells, dg.genotypes, dg.ldsc, dg.simulate, plotting):
        for name in package.__all__:
            if inspect.isfunction(function := getattr(package, name)):
                yield pytest.param(function, id=f"{package.__name__}.{name}")


@pytest.mark.parametrize("function", list(public_functions()))
def test_every_public_function_answers_unknown_names(function):
    required = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind != p.VAR_KEYWORD
    ]
    with pytest.raises(UsageError, match=rf"^{function.__name__}\(\) has no argument 'bogus_name'\.") as caught:
        function(**dict.fromkeys(required), bogus_name=1)
    assert required[0] in str(caught.value)


@pytest.mark.parametrize(
    ("function", "given", "ours"),
    [
        (dg.ldsc.ldsc, "sample.prev", "sample_prev"),
        (dg.ldsc.ldsc, "trait.names", "traits"),
        (dg.ldsc.ldsc, "n.blocks", "n_blocks"),
        (dg.ldsc.ldsc, "samp_prev", "sample_prev"),
        (dg.ldsc.ldsc, "ref_ld_chr", "ld_scores"),
        (dg.ldsc.ldsc, "chr", "select"),
        (conversion.munge, "hm3", "reference"),
        (conversion.munge, "trait.names", "trait_names"),
        (conversion.munge, "N", "n"),
        (conversion.munge, "merge_alleles", "reference"),
        (conversion.sumstats, "keep.indel", "keep_indel"),
        (conversion.sumstats, "ref", "reference"),
        (conversion.genotypes, "bfile", "source"),
        (conversion.genotypes, "out", "destination"),
        (conversion.genotypes, "chr", "contig"),
        (dg.ldsc.ld_scores, "bfile", "genotypes"),
        (dg.ldsc.ld_scores, "ld_wind_cm", "window"),
        (dg.genotypes.pca, "n_components", "n"),
        (dg.genotypes.pca, "random_state", "seed"),
        (dg.genotypes.variant_stats, "maf", "maf_min"),
        (plotting.heatmap, "covstruc", "covstruct"),
    ],
)
def test_another_tools_name_is_answered_with_ours(function, given, ours):
    with pytest.raises(UsageError) as caught:
        function(None, None, **{given: 1})
    assert caught.value.do == f"here it is called {ours}"
    assert repr(given) in str(caught.value)


@pytest.mark.parametrize(
    ("function", "given", "advice"),
    [
        (dg.ldsc.ldsc, "cores", "dg.cluster.connect"),
        (dg.ldsc.ldsc, "wld", "sep_weights=True"),
        (conversion.munge, "parallel", "dg.cluster.connect"),
        (conversion.munge, "signed_sumstats", "effect_allele"),
        (conversion.sumstats, "se.logit", 'scale="logistic"'),
        (conversion.sumstats, "OLS", 'scale="linear"'),
        (dg.sem.user_gwas, "toler", "not needed"),
    ],
)
def test_what_is_said_in_another_way_is_explained(function, given, advice):
    with pytest.raises(UsageError) as caught:
        function(None, None, None, **{given: True})
    assert advice in str(caught.value.do)


def test_a_slip_is_answered_with_the_nearest_name():
    with pytest.raises(UsageError) as caught:
        dg.ldsc.ldsc("a.zarr", "b.zarr", n_bloks=3)
    assert caught.value.do == "did you mean n_blocks?"
    assert "sep_weights" in str(caught.value.expected)


def test_every_name_in_the_tables_is_an_argument_of_some_function():
    known = {name for parameter in public_functions() for name in parameter.values[0].known_arguments}
    assert {name for ours in NAMES.values() for name in ours} - known <= {"sumstats"}
    assert {needed for needed, _ in NOTES.values() if needed} <= known
    assert all(name == name.lower() and name.isalnum() for name in (*NAMES, *NOTES))


def test_the_signature_and_the_help_are_those_of_the_function():
    signature = inspect.signature(dg.ldsc.ldsc)
    assert list(signature.parameters)[:3] == ["munged", "ld_scores", "traits"]
    assert dg.ldsc.ldsc.__doc__.startswith("Genetic covariance")
    assert pickle.loads(pickle.dumps(dg.ldsc.ldsc)) is dg.ldsc.ldsc


@known_arguments("keep")
def example(a, /, b=2, *, c=3, **more):
    return a, b, c, more


def test_what_the_function_has_is_passed_on():
    assert example(1, 5, c=6, keep=7) == (1, 5, 6, {"keep": 7})
    with pytest.raises(UsageError, match="'keeps'"):
        example(1, keeps=7)


def test_an_exact_name_comes_before_the_table():
    assert our_name("--ref", ["ref", "reference"]) == "ref"
    assert our_name("--hm3", ["a", "reference"]) == "reference"
    assert our_name("nothing", ["a"]) is None
