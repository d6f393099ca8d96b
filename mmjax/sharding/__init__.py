"""Where arrays live: the mesh of devices, rules by parameter path, constraints on activations."""
