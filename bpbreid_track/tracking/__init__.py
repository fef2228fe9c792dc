"""Detections and PartEmbeddings in, identities out. Knows nothing of networks or files."""
