"""Convolutions over video, including causal and recurrent layers."""
