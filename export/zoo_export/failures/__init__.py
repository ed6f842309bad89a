"""What an export says when a model cannot be exported, or an artifact differs."""
