"""Networks: each layer's forward and backward in one file, over one flat parameter vector."""
