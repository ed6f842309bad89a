"""The export folder: manifest, certificate, golden vectors, README."""
