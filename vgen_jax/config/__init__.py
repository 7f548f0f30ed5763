"""Loading and checking of configs, and building of objects from their specs."""
