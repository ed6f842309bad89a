"""Training: what decides a run, the loop, and the folder that a run writes."""
