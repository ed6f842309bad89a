"""timm's layout of a model on a hub or in a folder: `config.json` and `model.safetensors`. Read and written."""

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LOCAL = "local-dir:"  # in front of the path of a folder in this layout, as timm writes it
