"""Twins in PyTorch of networks and train steps, for torch_twins.py."""
