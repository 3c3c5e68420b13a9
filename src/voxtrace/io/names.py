"""Label names and colours as they travel inside files, in the words that other programs use.

NIfTI: the label table of Connectome Workbench (also TotalSegmentator's and MITK's), XML in a header extension.
NRRD and MetaImage: 3D Slicer's keys ``Segment0_Name``, ``Segment0_LabelValue``, ``Segment0_Color``.
The background, label 0, has no entry in either.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from voxtrace.safe_text import well_formed
from voxtrace.volume import LabelMap, Triple

Names = dict[int, str]
Colours = dict[int, Triple]

DESCRIPTION = "Description"  # key of free text in NRRD and MetaImage
_SEGMENT = re.compile(r"Segment(\d+)_LabelValue")
LARGEST_LABEL = 65535
LONGEST_NAME = 1000
_LABEL = re.compile(r"[0-9]{1,5}")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def to_xml(labels: LabelMap) -> str:
    """Return the label table of a label map without letters that XML cannot hold; ``""`` when it names nothing."""
    if not _entries(labels):
        return ""
    root = ElementTree.Element("CaretExtension")
    table = ElementTree.SubElement(ElementTree.SubElement(root, "VolumeInformation", Index="0"), "LabelTable")
    for value, name in _entries(labels):
        shades = zip(("Red", "Green", "Blue"), labels.colours.get(value, ()), strict=False)
        colour = {key: str(float(shade)) for key, shade in shades}
        entry = ElementTree.SubElement(table, "Label", {"Key": str(value), **colour, "Alpha": "1"})
        entry.text = _NO_XML.sub("", name)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def from_xml(texts: Iterable[str]) -> tuple[Names, Colours]:
    """Return names and colours from the first label table among extensions; empty when there is none.

    A document that declares entities is skipped: label tables do not use them, attacks on XML parsers do.
    """
    for text in texts:
        if "<LabelTable" not in text or "<!ENTITY" in text:
            continue
        try:
            entries = list(ElementTree.fromstring(text.strip()).iter("Label"))
            return _read_entries((_key(e), (e.text or "").strip(), _colour(e)) for e in entries)
        except (ElementTree.ParseError, KeyError, ValueError):
            continue
    return {}, {}


def to_keys(labels: LabelMap, *, ascii_only: bool) -> dict[str, str]:
    """Return 3D Slicer's keys for a label map; empty when it names nothing.

    MetaImage loses letters beyond ASCII; with ``ascii_only`` they become character references such as ``&#223;``.
    """
    keys: dict[str, str] = {}
    for index, (value, name) in enumerate(_entries(labels)):
        start = f"Segment{index}_"
        escaped = html.escape(name, quote=False).encode("ascii", "xmlcharrefreplace").decode()
        keys[f"{start}Name"] = escaped if ascii_only else name
        keys |= {f"{start}ID": f"Segment_{value}", f"{start}LabelValue": str(value)}
        keys[f"{start}Layer"] = "0"
        if value in labels.colours:
            keys[f"{start}Color"] = " ".join(str(float(shade)) for shade in labels.colours[value])
    return keys


def has_layers(keys: Mapping[str, str]) -> bool:
    """Tell whether 3D Slicer's keys describe segments, which may lie in several layers."""
    return any(_SEGMENT.fullmatch(key) for key in keys)


def from_keys(keys: Mapping[str, str], *, ascii_only: bool, layer: int | None = None) -> tuple[Names, Colours]:
    """Return names and colours from 3D Slicer's keys, as :func:`to_keys` wrote them; empty when there are none.

    With ``layer``, of the segments in this layer only.
    """
    found = []
    for key, value in keys.items():
        match = _SEGMENT.fullmatch(key)
        if match and _LABEL.fullmatch(value.strip()):
            start = f"Segment{match[1]}_"
            if layer is not None and keys.get(f"{start}Layer", "0").strip() != str(layer):
                continue
            name = keys.get(f"{start}Name", "")
            colour = _shades(keys.get(f"{start}Color", "").split())
            found.append((int(value), html.unescape(name) if ascii_only else name, colour))
    return _read_entries(sorted(found, key=lambda entry: entry[0]))


def _entries(labels: LabelMap) -> list[tuple[int, str]]:
    """Return (value, name on one line) of every named label but the background."""
    return [(value, " ".join(name.split())) for value, name in sorted(labels.names.items()) if value > 0]


def _read_entries(entries: Iterable[tuple[int, str, Triple | None]]) -> tuple[Names, Colours]:
    names: Names = {}
    colours: Colours = {}
    for value, name, colour in entries:
        # label 0 is the background, which other programs name, too
        if 0 < value <= LARGEST_LABEL and name:
            names[value] = well_formed(name[:LONGEST_NAME])
        if 0 < value <= LARGEST_LABEL and colour is not None:
            colours[value] = colour
    return names, colours


def _key(entry: ElementTree.Element) -> int:
    """Return the label of an entry; 0, which is the background, for one that is no label."""
    text = entry.attrib["Key"].strip()
    return int(text) if _LABEL.fullmatch(text) else 0


def _colour(entry: ElementTree.Element) -> Triple | None:
    return _shades([entry.attrib[key] for key in ("Red", "Green", "Blue") if key in entry.attrib])


def _shades(texts: list[str]) -> Triple | None:
    try:
        red, green, blue = (min(max(float(text), 0.0), 1.0) for text in texts)
    except ValueError:
        return None
    return red, green, blue
