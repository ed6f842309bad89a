"""Files that are written whole or not at all, safetensors headers, cards, and where things lie."""
