"""What a checkpoint holds, and when one is written."""

CHECKPOINT_EVERY = 60.0  # seconds between checkpoints within an epoch, by default
