"""Layers that do not depend on any model."""
