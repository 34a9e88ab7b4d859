"""Small and matrix-free numerics: pure functions of arrays."""
