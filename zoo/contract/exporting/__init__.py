"""What an export passes around: its options, what a format receives and returns, how a precision is judged."""
