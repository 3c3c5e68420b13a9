"""OME-Zarr (NGFF) 0.4 and 0.5: images and label maps of which the finest level is read.

multiscale  the attributes of an image: axes, units, scale, where its levels lie; names and colours of labels
stored      the array of a level: what may be read of it, and how much
chunk_files the files of its chunks, and which are missing
chunks      what each chunk unpacks to
opening     a folder -> a description of the volume
levels      a volume -> coarser levels, for viewers
"""

from __future__ import annotations

from voxtrace.io.ome_zarr.opening import label_folder, open_ome_zarr

__all__ = ["label_folder", "open_ome_zarr"]
