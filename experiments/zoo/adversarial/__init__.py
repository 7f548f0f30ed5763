"""Checks of trained GANs, and an ablation of one."""
