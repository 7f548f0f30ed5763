"""Post-processing of generated clips."""
