"""The Python API: what `import zoo` offers. The command line calls it."""
