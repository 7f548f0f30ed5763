"""Devices and disks: sharding, checkpoints, preemption, logs, profiling."""
