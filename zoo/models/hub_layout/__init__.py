"""timm's layout of a model on a hub or in a folder: `config.json` and `model.safetensors`. Read and written."""
