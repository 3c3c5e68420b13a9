"""Surfaces <-> the bytes of STL, PLY and OBJ. Vertices are (L, P, S) in mm; the header of each file says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from voxtrace.io.export.label_style import bytes_of
from voxtrace.io.export.surface import Surface
from voxtrace.volume import Array

_SPACE = "VoxTrace surface; mm; patient space LPS (left, posterior, superior)"
_STL_HEADER, _STL_TRIANGLE = 80, np.dtype([("normal", "<3f4"), ("corners", "<9f4"), ("unused", "<u2")])
_PLY_VERTEX = np.dtype([("place", "<3f4"), ("colour", "3u1")])
_PLY_FACE = np.dtype([("count", "u1"), ("vertices", "<3i4")])


def write_stl(surfaces: Sequence[Surface], file: Path) -> None:
    """Write surfaces as one binary STL body."""
    with file.open("wb") as opened:
        opened.write(_SPACE.encode().ljust(_STL_HEADER))
        opened.write(np.uint32(sum(len(s.faces) for s in surfaces)).astype("<u4").tobytes())
        for surface in surfaces:
            corners = surface.vertices_mm[surface.faces]
            across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            length = np.linalg.norm(across, axis=1, keepdims=True)
            block = np.zeros(len(corners), _STL_TRIANGLE)
            block["normal"] = np.divide(across, length, out=np.zeros_like(across), where=length > 0)
            block["corners"] = corners.reshape(-1, 9)
            opened.write(block.tobytes())


def write_ply(surfaces: Sequence[Surface], file: Path) -> None:
    """Write surfaces as binary PLY, each vertex in its label's colour."""
    labels = [f"comment label {s.label} {' '.join(s.name.split())}" for s in surfaces]
    header = [
        *("ply", "format binary_little_endian 1.0", f"comment {_SPACE}", *labels),
        f"element vertex {sum(len(s.vertices_mm) for s in surfaces)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {shade}" for shade in ("red", "green", "blue")),
        f"element face {sum(len(s.faces) for s in surfaces)}",
        *("property list uchar int vertex_indices", "end_header"),
    ]
    with file.open("wb") as opened:
        opened.write(("\n".join(header) + "\n").encode())
        for surface in surfaces:
            block = np.zeros(len(surface.vertices_mm), _PLY_VERTEX)
            block["place"], block["colour"] = surface.vertices_mm, bytes_of(surface.colour)
            opened.write(block.tobytes())
        start = 0
        for surface in surfaces:
            faces = np.zeros(len(surface.faces), _PLY_FACE)
            faces["count"], faces["vertices"] = 3, surface.faces + start
            opened.write(faces.tobytes())
            start += len(surface.vertices_mm)


def write_obj(surfaces: Sequence[Surface], file: Path) -> None:
    """Write surfaces as OBJ, a group ``g NAME`` for each label."""
    start = 1  # OBJ counts vertices from 1, through the whole file
    with file.open("w", encoding="utf-8") as opened:
        opened.write(f"# {_SPACE}\n")
        for surface in surfaces:
            opened.write(f"g {'_'.join(surface.name.split())}\n")
            np.savetxt(opened, surface.vertices_mm, "v %.4f %.4f %.4f")
            np.savetxt(opened, surface.faces + start, "f %d %d %d")
            start += len(surface.vertices_mm)


def read_stl(file: Path) -> tuple[Array, int]:
    """Return the corners (N, 3) of all triangles of a binary STL file, and how many triangles there are."""
    with file.open("rb") as opened:
        opened.seek(_STL_HEADER)
        count = int(np.frombuffer(opened.read(4), "<u4")[0])
        triangles = np.frombuffer(opened.read(), _STL_TRIANGLE)
    return triangles["corners"].reshape(-1, 3), count if count == len(triangles) else -1


def read_ply(file: Path) -> tuple[Array, int]:
    """Return the vertices (N, 3) of a PLY file as :func:`write_ply` makes it, and the number of triangles."""
    content = file.read_bytes()
    head, _, body = content.partition(b"end_header\n")
    counts = {w[1]: int(w[2]) for w in (line.split() for line in head.splitlines()) if w[0] == b"element"}
    vertices = np.frombuffer(body, _PLY_VERTEX, counts[b"vertex"])
    faces = np.frombuffer(body, _PLY_FACE, offset=vertices.nbytes)
    whole = len(faces) == counts[b"face"] and int(faces["vertices"].max()) < len(vertices)
    return vertices["place"], len(faces) if whole else -1


def read_obj(file: Path) -> tuple[Array, int]:
    """Return the vertices (N, 3) of an OBJ file, and the number of triangles."""
    vertices, faces = [], 0
    with file.open(encoding="utf-8") as opened:
        for line in opened:
            if line.startswith("v "):
                vertices.append([float(word) for word in line.split()[1:]])
            faces += line.startswith("f ")
    return np.asarray(vertices), faces


WRITERS: dict[str, Callable[[Sequence[Surface], Path], None]] = {
    ".stl": write_stl,
    ".ply": write_ply,
    ".obj": write_obj,
}
READERS: dict[str, Callable[[Path], tuple[Array, int]]] = {".stl": read_stl, ".ply": read_ply, ".obj": read_obj}
