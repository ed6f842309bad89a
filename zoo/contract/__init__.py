"""The plugin contract: specs, the hook, preprocessing, parameters, errors. Imports the standard library and pluggy."""
