"""What users hand over: files anywhere fsspec reaches, text tables, and selections of samples and variants."""
