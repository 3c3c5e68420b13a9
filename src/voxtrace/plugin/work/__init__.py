"""What runs in a thread: jobs for the engine, reading and saving, and the events that tell the panels about it."""
