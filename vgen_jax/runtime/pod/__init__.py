"""Processes of a pod: comparison of inputs, and detection of lost processes."""
