"""What happens when: controllers join the viewer's model and a view, and import no toolkit."""
