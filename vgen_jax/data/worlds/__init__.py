"""Variants of the made-up world: each plants one thing to be learnt."""
