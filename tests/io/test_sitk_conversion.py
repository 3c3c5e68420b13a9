"""SimpleITK images to volumes and back: the same voxels on the same grid."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from voxtrace.errors import ReadError
from voxtrace.io import from_sitk, to_sitk


def _image(direction: tuple[float, ...]) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10.0, 20.0, 30.0))
    image.SetDirection(direction)
    return image


@pytest.mark.parametrize(
    "direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (-1, 0, 0, 0, -1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0, 0, -1, 0)]
)
def test_an_image_returns_unchanged(direction: tuple[float, ...]) -> None:
    image = _image(direction)
    back = to_sitk(from_sitk(image))
    assert np.array_equal(SimpleITK.GetArrayFromImage(back), SimpleITK.GetArrayFromImage(image))
    assert back.GetSpacing() == image.GetSpacing()
    assert back.GetOrigin() == image.GetOrigin()
    assert back.GetDirection() == image.GetDirection()


def test_a_voxel_lies_where_itk_says_it_lies() -> None:
    """World positions are ITK's (L, P, S) read backwards."""
    image = _image((0, 0, 1, 1, 0, 0, 0, -1, 0))
    volume = from_sitk(image)
    at = np.argwhere(volume.data[0] == image[3, 1, 1])[0]
    assert volume.geometry.world_mm(at)[::-1] == pytest.approx(image.TransformIndexToPhysicalPoint((3, 1, 1)))


def test_a_colour_image_is_refused() -> None:
    colour = SimpleITK.Image((2, 2, 2), SimpleITK.sitkVectorUInt8, 3)
    with pytest.raises(ReadError, match=r"3 number\(s\) a voxel; expected 3 and 1"):
        from_sitk(colour, "photo")
