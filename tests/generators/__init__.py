"""Small adversarial worlds and random rules over them, from seeds."""
