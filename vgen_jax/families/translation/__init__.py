"""Translation of layouts to video, by generation of one frame after another."""
