"""Moving handwritten digits."""
