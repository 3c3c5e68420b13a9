"""The window: VoxTrace in napari.

Each folder imports only those below it; ``views`` and ``controllers`` do not import each other.

=============== ======================================================================================================
``npe2``        what ``napari.yaml`` names: reader, writer, samples and the two panels, which join views and controllers
``views``       Qt widgets: setters in, signals out
``controllers`` what happens when; they know napari's layers and viewer model, and no Qt
``work``        what runs in threads: jobs (the only module that calls the engine), threads, events, saving, DICOM
``models``      frozen data, registries and pure functions: what panels show and what they ask for; no Qt, no napari
``layers``      volumes, label maps and traces as napari layer data: pure functions; no Qt, no napari
=============== ======================================================================================================

No method is named in this package.
"""
