"""What becomes a napari layer: arrays, transforms, colours and contrast; pure functions without Qt and napari."""
