"""Where the network sees the parts: maps, and what is painted and drawn from them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_encoders import NONSENSE, PEOPLE, frame, network

from bpbreid_track import Encoder
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.attention_view import paint_attention, part_colours, part_painter
from bpbreid_track.model.crops import TensorCrops, normalise
from bpbreid_trainer.attention_sheet import attention_sheet


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(network(), device="cpu", precision="fp32")


def test_attention_agrees_with_the_visibility_of_the_embeddings(encoder: Encoder) -> None:
    boxes = [PEOPLE[0], NONSENSE[0], PEOPLE[1]]
    maps, visibility = encoder.attend(frame(), boxes)
    assert maps.shape == (3, 5, 4, 2)
    assert maps[1].sum() == 0
    torch.testing.assert_close(visibility, encoder.encode(frame(), boxes).visibility[:, 1:])
    ready = normalise(
        TensorCrops([frame()]).cut(np.zeros(1, int), np.array([[10, 20, 60, 150]]), (64, 32)),
        encoder.options.mean,
        encoder.options.std,
    )
    torch.testing.assert_close(maps[:1], encoder.network.attend(ready)[:, 1:], atol=1e-4, rtol=0)


def test_a_sheet_does_not_replace_a_picture_that_it_shows(encoder: Encoder, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "person.png"), frame())
    before = (tmp_path / "person.png").read_bytes()
    with pytest.raises(UsageError, match=r"person\.png: is read and would be overwritten"):
        attention_sheet(encoder, tmp_path, tmp_path / "person.png")
    assert (tmp_path / "person.png").read_bytes() == before


def test_attention_of_nobody_is_empty(encoder: Encoder) -> None:
    assert len(encoder.attend(frame(), []).maps) == 0
    assert len(encoder.attend_crops([]).visibility) == 0


def test_visible_parts_are_tinted_where_the_map_is_and_nowhere_else() -> None:
    image = np.full((120, 100, 3), 128, np.uint8)
    maps = np.zeros((1, 2, 8, 4))
    maps[0, 0, :4] = 1  # the first part above
    maps[0, 1, 4:] = 1  # the second below, but not visible
    painted = paint_attention(image, [[40, 20, 80, 100]], maps, np.array([[1, 0]]))
    colour = part_colours(2)[0]
    assert np.array_equal(painted[30, 60], np.rint(128 * 0.4 + 0.6 * colour).astype(np.uint8))
    assert (painted[90, 60] == 128).all()
    assert (painted[:, 85:] == 128).all()
    assert (image == 128).all()


def test_painting_takes_boxes_without_pixels_and_nobody() -> None:
    image = frame()
    painted = paint_attention(image, [NONSENSE[2], NONSENSE[4]], np.ones((2, 3, 4, 2)), np.ones((2, 3)))
    assert np.array_equal(painted, image)
    assert np.array_equal(paint_attention(image, [], np.ones((0, 3, 1, 1)), np.ones((0, 3))), image)


def test_the_painter_of_videos_paints_inside_the_boxes(encoder: Encoder) -> None:
    class Boxes:
        xyxy = np.array([PEOPLE[0]])

    image = frame()
    painted = part_painter(encoder)(image, Boxes())
    assert painted.shape == image.shape
    assert not np.array_equal(painted[20:150, 10:60], image[20:150, 10:60])
    assert np.array_equal(painted[:, 100:], image[:, 100:])


def test_the_sheet_has_a_row_for_each_crop_and_a_column_for_each_part(
    encoder: Encoder, tmp_path: Path
) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), frame(60, 30, index))
    one, three = (
        cv2.imread(str(attention_sheet(encoder, tmp_path, tmp_path / f"sheet{limit}.jpg", limit=limit)))
        for limit in (1, 3)
    )
    assert one.shape[1] == three.shape[1]
    assert one.shape[1] % (len(encoder.part_names) + 1) == 0
    assert three.shape[0] - one.shape[0] == 2 * (one.shape[0] - 24)


def test_a_sheet_that_cannot_be_made_says_why(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        attention_sheet(encoder, tmp_path / "none", tmp_path / "a.png")
    with pytest.raises(InputError, match="no images in it"):
        attention_sheet(encoder, tmp_path, tmp_path / "a.png")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.jpg: not an image"):
        attention_sheet(encoder, tmp_path, tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "broken.jpg"), frame())
    with pytest.raises(InputError, match=r"ends in \.png or \.jpg"):
        attention_sheet(encoder, tmp_path, tmp_path / "a.pdf")
