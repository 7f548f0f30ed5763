"""The judge of the made-up world: what a clip shows, and whether it could."""
