"""What a checkpoint holds, and when one is written."""
