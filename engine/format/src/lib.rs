//! What the bytes mean: ids, keys, sealing, pack, index, tree, log.
