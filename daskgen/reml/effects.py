"""Best linear unbiased predictions from a fit: SNP effects, random effects of any sample, their error variances.

With q = P y of the analysed samples and component g's members m_g of the variants,

    effect of a standardised variant   b_g = theta_g / c_g  m_g Z'q,       per allele b_g times the scale factor
    random effect of a sample          u_g = Z_all b_g                     (theta_g K_g q for analysed samples)

with Z_all standardised by the means and factors of the analysed samples. All of that in float64.
Source: Henderson (1975), Biometrics 31:423; VanRaden (2008), J. Dairy Sci. 91:4414.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.view import GenotypeView
from daskgen.reml.graph import relationship_matrices, standardised_products, standardised_sums
from daskgen.reml.relationships import Part

__all__ = [
    "GroupEffects",
    "fixed_operator",
    "group_effects",
    "random_effects",
    "relationships_with",
]


@dataclass(frozen=True)
class GroupEffects:
    """Of the variants of one store in one group: products (variants, T) = Z'q; weights (variants, G); mean and factor
    (variants,), the standardisation in the analysed samples."""

    products: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    factor: np.ndarray

    def standardised(self, theta: np.ndarray) -> np.ndarray:
        """Effects of standardised variants (T, G, variants); theta (T, G)."""
        return np.asarray(np.einsum("tg,vg,vt->tgv", theta, self.weights, self.products))


def group_effects(part: Part, projected: np.ndarray) -> GroupEffects:
    """The SNP side of a fit; projected (n, T): q of each phenotype (times the root weights, where there are some)."""
    view, moments = part.operator.view, part.operator.moments
    return GroupEffects(
        standardised_products(part.operator, projected),
        part.weights,
        moments.centre(),
        moments.factor(view.scale, view.alpha),
    )


def fixed_operator(part: Part, effects: GroupEffects, samples: np.ndarray) -> GenotypeOperator:
    """Products with the same variants in other samples of the source, standardised as in the analysed ones."""
    given, view = part.operator, part.operator.view
    standardisation = (effects.mean, effects.factor)
    fixed = GenotypeView(view.reader, samples, view.variants, view.use_dosage, view.scale, view.alpha, standardisation)
    return GenotypeOperator(fixed, memory_limit=given.memory_limit, cache=given.cache, runner=given.runner)


def random_effects(part: Part, effects: GroupEffects, theta: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """u (T, G, N) of the source's rows `samples`; theta (T, G). One pass."""
    of_variants = effects.standardised(theta)
    t, g, m = of_variants.shape
    sums = standardised_sums(fixed_operator(part, effects, samples), of_variants.reshape(t * g, m).T)
    return np.asarray(sums.T.reshape(t, g, len(samples)))


def relationships_with(part: Part, effects: GroupEffects, samples: np.ndarray) -> np.ndarray:
    """K_g among the source's rows `samples`, standardised as in the analysed ones: (G, N, N) float64."""
    return relationship_matrices(fixed_operator(part, effects, samples), effects.weights)
