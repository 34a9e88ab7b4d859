"""Sources of single-cell counts, each by rows of cells, and how they are put together and written."""
