"""Label maps with exact optical flow and occlusion."""
