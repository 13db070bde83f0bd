"""Which library, which device: what stands below all mathematics."""
