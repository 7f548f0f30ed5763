"""Scripts that measure speed and memory, and what they have measured."""
