"""What a run writes: pictures of clips and the log of its metrics."""
