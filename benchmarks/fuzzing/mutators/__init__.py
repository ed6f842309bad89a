"""Changes to valid files, one file for each structure: bytes, JSON, TOML, safetensors, zip archives, graphs, images."""
