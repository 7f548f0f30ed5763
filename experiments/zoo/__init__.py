"""Results of trained models, and a comparison of families."""
