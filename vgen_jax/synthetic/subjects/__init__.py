"""Subjects whose looks are held out, with reference clips."""
