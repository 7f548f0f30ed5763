"""Processes of a pod: equal inputs, and a watch over lost processes."""
