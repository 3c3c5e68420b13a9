"""What can be chosen and what panels show: frozen data, registries and pure functions; no Qt, no napari."""
