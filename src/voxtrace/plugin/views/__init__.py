"""Qt widgets: controllers call their setters, and they emit signals."""
