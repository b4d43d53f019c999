"""What the Python tests share; tests/README.md says how it fits together."""
