"""What networks are computed in on a CPU: asked once where its kind does not say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bpbreid_track import machine, quick_precision


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def wide_bf16(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A CPU with AVX512-BF16 and no tiles, an empty cache folder and nothing remembered."""
    monkeypatch.setattr(machine, "cpu_has_bf16", lambda: False)
    monkeypatch.setattr(machine, "cpu_has_wide_bf16", lambda: True)
    quick_precision._asked.cache_clear()
    yield
    quick_precision._asked.cache_clear()


def kept(cache: Path) -> list[str]:
    return [path.read_text(encoding="utf-8").strip() for path in cache.glob("precision/*.txt")]


@pytest.mark.parametrize(("share", "expected"), [(0.6, "bf16"), (0.95, "fp32"), (1.2, "fp32")])
def test_bf16_is_taken_where_it_saves_a_fifth(
    cache: Path, monkeypatch: pytest.MonkeyPatch, share: float, expected: str
) -> None:
    monkeypatch.setattr(quick_precision, "_share", lambda: share)
    assert quick_precision.quickest_precision() == expected
    assert kept(cache) == [expected]


def test_the_answer_is_kept_so_that_all_runs_on_a_machine_are_alike(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_precision, "_share", lambda: 0.6)
    quick_precision.quickest_precision()
    quick_precision._asked.cache_clear()
    monkeypatch.setattr(quick_precision, "_share", lambda: pytest.fail("asked again"))
    assert quick_precision.quickest_precision() == "bf16"


def test_a_damaged_answer_is_asked_for_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_precision, "_share", lambda: 0.6)
    quick_precision.quickest_precision()
    for path in cache.glob("precision/*.txt"):
        path.write_text("", encoding="utf-8")
    quick_precision._asked.cache_clear()
    monkeypatch.setattr(quick_precision, "_share", lambda: 1.0)
    assert quick_precision.quickest_precision() == "fp32"
    assert kept(cache) == ["fp32"]


def test_a_cpu_that_cannot_be_asked_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> float:
        raise RuntimeError("no such plugin")

    monkeypatch.setattr(quick_precision, "_share", fails)
    assert quick_precision.quickest_precision() == "fp32"


def test_other_cpus_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_precision, "_share", lambda: pytest.fail("asked"))
    monkeypatch.setattr(machine, "cpu_has_wide_bf16", lambda: False)
    assert quick_precision.quickest_precision() == "fp32"
    monkeypatch.setattr(machine, "cpu_has_bf16", lambda: True)
    assert quick_precision.quickest_precision() == "bf16"


def test_convolutions_are_timed_in_both() -> None:
    assert 0.05 < quick_precision._share() < 20


def test_a_folder_that_cannot_be_written_does_no_harm(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "precision").write_text("a file where the folder should be")
    monkeypatch.setattr(quick_precision, "_share", lambda: 0.6)
    assert quick_precision.quickest_precision() == "bf16"
