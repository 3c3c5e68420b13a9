"""Small Qt widgets: plain setters down, signals up."""
