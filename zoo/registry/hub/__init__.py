"""The Hugging Face Hub, without its library: folders of its layout, and names of repositories."""
