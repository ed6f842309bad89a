"""What a process gives up for good: limits of the system, and rights that the kernel takes away."""
