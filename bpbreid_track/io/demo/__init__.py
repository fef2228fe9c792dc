"""Real footage with known truth that needs no download."""
