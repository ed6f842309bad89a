"""What a plugin sees: specs, the hook, preprocessing, parameters, errors. Standard library and pluggy only."""
