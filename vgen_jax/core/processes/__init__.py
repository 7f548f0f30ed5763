"""Processes: signals that stop them, locks between them, their children."""
