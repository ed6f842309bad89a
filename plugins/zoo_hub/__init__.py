"""`zoo pull` and `zoo push`: models on the Hugging Face Hub, in timm's layout."""
