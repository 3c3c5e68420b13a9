"""Controllers: they connect the viewer's model with a view and import no Qt."""
