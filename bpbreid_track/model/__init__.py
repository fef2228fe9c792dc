"""Images in, PartEmbeddings out: the BPBReID network, its checkpoints and the batched encoder."""
