"""GWAS summary statistics: reading files as met in the wild, aligning them to a reference, deriving what is missing."""

from __future__ import annotations
