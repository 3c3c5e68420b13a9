"""The window: VoxTrace in napari.

``display``, ``frame``, ``contrast``, ``palette`` and ``panel`` are pure functions of frozen data; ``controllers`` know
napari's model and no toolkit; ``views`` are small Qt widgets that know neither; ``segment`` and ``train`` put them
together. ``bundles`` and ``methods`` are what can be chosen; no method is named in this folder. ``requests`` is what
panels and engine say to each other; ``jobs`` is the only file that calls the engine, in a worker thread (``worker``,
``events``).
"""
