"""What cannot be taken over exactly is refused in a sentence, and no bundle is left behind."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import made_nnunet
import planted
from voxtrace.errors import InputError
from voxtrace.io.child.process import SWITCH
from voxtrace.io.child.readers import call, end_readers
from voxtrace.nnunet import import_model

Parts = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]  # plans, dataset, checkpoint


def configuration(parts: Parts) -> dict[str, Any]:
    made: dict[str, Any] = parts[0]["configurations"]["3d_fullres"]
    return made


def arguments(parts: Parts) -> dict[str, Any]:
    made: dict[str, Any] = configuration(parts)["architecture"]["arch_kwargs"]
    return made


def a_cascade(parts: Parts) -> None:
    configuration(parts)["previous_stage"] = "3d_lowres"


def regions_without_an_order(parts: Parts) -> None:
    parts[1]["labels"] = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "rest": 3}


def regions_painted_with_a_strange_value(parts: Parts) -> None:
    regions_without_an_order(parts)
    parts[1]["regions_class_order"] = [1, 1, 3]


def regions_of_another_number(parts: Parts) -> None:
    regions_without_an_order(parts)
    parts[1]["regions_class_order"] = [1, 2, 3]


def a_gap_in_the_labels(parts: Parts) -> None:
    parts[1]["labels"]["three"] = 7


def another_network(parts: Parts) -> None:
    configuration(parts)["architecture"]["network_class_name"] = "somewhere.UMambaBot"


def another_activation(parts: Parts) -> None:
    arguments(parts)["nonlin"] = "torch.nn.ReLU"


def another_norm(parts: Parts) -> None:
    arguments(parts)["norm_op"] = "torch.nn.modules.batchnorm.BatchNorm3d"


def an_even_kernel(parts: Parts) -> None:
    arguments(parts)["kernel_sizes"][1] = [2, 2, 2]


def another_normalisation(parts: Parts) -> None:
    configuration(parts)["normalization_schemes"] = ["QuantileNormalization"]


def another_resampling(parts: Parts) -> None:
    configuration(parts)["resampling_fn_data"] = "resample_of_my_own"


def another_spline(parts: Parts) -> None:
    configuration(parts)["resampling_fn_data_kwargs"]["order"] = 1


def another_preprocessor(parts: Parts) -> None:
    configuration(parts)["preprocessor_name"] = "MyPreprocessor"


def another_reader(parts: Parts) -> None:
    parts[0]["image_reader_writer"] = "NaturalImage2DIO"


def plans_without_a_patch_size(parts: Parts) -> None:
    del configuration(parts)["patch_size"]


def a_wider_network(parts: Parts) -> None:
    arguments(parts)["features_per_stage"] = [6, 8, 12]


def a_missing_tensor(parts: Parts) -> None:
    del parts[2]["network_weights"]["decoder.seg_layers.1.weight"]


def a_tensor_too_many(parts: Parts) -> None:
    parts[2]["network_weights"]["encoder.stages.0.0.convs.0.norm.running_mean"] = torch.zeros(6)


def an_unknown_configuration(parts: Parts) -> None:
    parts[2]["init_args"] = {"configuration": "3d_lowres"}


def a_checkpoint_of_something_else(parts: Parts) -> None:
    del parts[2]["network_weights"]


REFUSED: list[tuple[Callable[[Parts], None], str]] = [
    (a_cascade, "second stage of a cascade"),
    (regions_without_an_order, "regions_class_order is None; expected a list"),
    (regions_painted_with_a_strange_value, "'core' is painted with 1, which is none of its values 2, 3"),
    (regions_of_another_number, r"decide.heads.0.weight .as it is called here. is \(4,.*make it \(3,"),
    (a_gap_in_the_labels, r"\[0, 1, 2, 7\] are not consecutive"),
    (another_network, "somewhere.UMambaBot; only PlainConvUNet and ResidualEncoderUNet.*nnUNetv2_predict"),
    (another_activation, "another activation"),
    (another_norm, "another normalisation"),
    (an_even_kernel, "odd kernels"),
    (another_normalisation, "channel 0 is normalised by QuantileNormalization"),
    (another_resampling, "resamples data by resample_of_my_own.*train it again with nnU-Net's own"),
    (another_spline, "of order 3"),
    (another_preprocessor, "preprocessor_name is MyPreprocessor"),
    (another_reader, "reads images with NaturalImage2DIO"),
    (plans_without_a_patch_size, "not as nnU-Net v2 writes it.*patch_size"),
    (a_wider_network, r"is \(10, 8, 3, 3, 3\).*make it \(12, 8, 3, 3, 3\)"),
    (a_missing_tensor, "has no tensor for decide.heads.0.weight"),
    (a_tensor_too_many, "also holds .*running_mean"),
    (an_unknown_configuration, "no usable configuration '3d_lowres'"),
    (a_checkpoint_of_something_else, "not a checkpoint of nnU-Net v2 .*network_weights"),
]


@pytest.mark.parametrize(("spoil", "sentence"), REFUSED, ids=[spoil.__name__ for spoil, _ in REFUSED])
def test_a_surprise_is_refused(tmp_path: Path, spoil: Callable[[Parts], None], sentence: str) -> None:
    made = made_nnunet.plans()
    parts = (made, made_nnunet.dataset(), made_nnunet.checkpoint(made_nnunet.network(made)))
    parts[2]["network_weights"] = dict(parts[2]["network_weights"])
    spoil(parts)
    model = made_nnunet.write(tmp_path / "model", parts[0], parts[1], {"0": parts[2]})
    with pytest.raises(InputError, match=sentence):
        import_model(model, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("missing", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    made_nnunet.model(tmp_path / "model")
    (tmp_path / "model" / missing).unlink()
    with pytest.raises(InputError, match=missing.rpartition("/")[2]):
        import_model(tmp_path / "model", tmp_path / "bundle")


def test_a_fold_that_was_not_trained_is_named_with_those_that_were(tmp_path: Path) -> None:
    made_nnunet.model(tmp_path / "model")
    with pytest.raises(InputError, match="no trained fold '3'; it has 0"):
        import_model(tmp_path / "model", tmp_path / "bundle", fold="3")


class Harmful:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_checkpoint_with_code_in_it_is_not_opened(tmp_path: Path) -> None:
    made = made_nnunet.plans()
    record = made_nnunet.checkpoint(made_nnunet.network(made), logging=Harmful(tmp_path / "harm"))
    model = made_nnunet.write(tmp_path / "model", made, made_nnunet.dataset(), {"0": record})
    with pytest.raises(InputError, match="more than tensors and numbers, and was not opened"):
        import_model(model, tmp_path / "bundle")
    assert not (tmp_path / "harm").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what a process may do")
def test_code_that_ran_all_the_same_could_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoint.pth").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    monkeypatch.setenv("PYTHONPATH", str(Path(planted.__file__).parent))
    end_readers()
    with pytest.raises(InputError, match="PermissionError"):
        call("planted:unpickle", (tmp_path / "checkpoint.pth",), (tmp_path / "checkpoint.pth",))
    end_readers()
    assert not (tmp_path / "harm").exists()
    planted.unpickle(tmp_path / "checkpoint.pth")
    assert (tmp_path / "harm").exists()


def test_a_checkpoint_is_unpickled_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_nnunet.model(tmp_path / "model")
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was unpickled in the program's own process"))
    assert (import_model(tmp_path / "model", tmp_path / "bundle")[0] / "bundle.json").is_file()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"network_weights": {}}, protocol=2)])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    made_nnunet.model(tmp_path / "model")
    (tmp_path / "model" / "fold_0" / "checkpoint_final.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint_final\.pth"):
        import_model(tmp_path / "model", tmp_path / "bundle")
