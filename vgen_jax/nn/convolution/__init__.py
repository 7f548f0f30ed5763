"""Convolutions over video, causal and recurrent ones included."""
