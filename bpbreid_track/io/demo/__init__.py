"""A scene with known truth that needs no download."""
