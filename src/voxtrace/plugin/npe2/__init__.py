"""What ``napari.yaml`` names: reader, writer, samples, and the panels, which join views and controllers."""
