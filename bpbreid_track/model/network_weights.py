"""A short word for what makes a network's embeddings: its weights and options."""

from __future__ import annotations

import hashlib

from .network import BPBReID

_BYTES = 8


def fingerprint_of(network: BPBReID) -> str:
    """16 hexadecimal digits of the weights and options of ``network``."""
    digest = hashlib.blake2b(network.options.model_dump_json().encode(), digest_size=_BYTES)
    for name, tensor in sorted(network.state_dict().items()):
        # Identity classifiers have no part in an embedding.
        if not name.startswith("identity."):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
