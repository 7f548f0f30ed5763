"""What lies between a folder of videos and a clip: files, stretches, notes."""
