"""Clips from folders of video files."""
