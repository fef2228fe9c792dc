"""Search of tracker settings on one's own footage: ``bpbreid-tune``."""
