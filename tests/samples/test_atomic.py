"""Files whole or not at all: after any end of the block there is the old file or the new one, and nothing beside it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from grounding.errors import InputError, RunError
from grounding.samples import atomic_path, share_files, write_json_atomic, write_text_atomic


def test_the_final_name_appears_at_the_end_with_its_suffix_kept_on_the_way(tmp_path: Path) -> None:
    final = tmp_path / "new" / "folder" / "a.png"
    with atomic_path(final) as temporary:
        temporary.write_text("new")
        assert not final.exists() and temporary.parent == final.parent and temporary.suffix == ".png"
    assert final.read_text() == "new" and list(final.parent.iterdir()) == [final]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, InputError("x"), ValueError, ZeroDivisionError])
def test_any_failure_leaves_the_old_file_alone_and_nothing_beside_it(
    tmp_path: Path, error: BaseException | type[BaseException]
) -> None:
    final = tmp_path / "a.txt"
    final.write_text("old")
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind), atomic_path(final) as temporary:
        temporary.write_text("half")
        raise error
    assert final.read_text() == "old" and list(tmp_path.iterdir()) == [final]


def test_a_full_disk_is_a_failed_run_that_names_the_file(tmp_path: Path) -> None:
    final = tmp_path / "a.txt"
    with pytest.raises(RunError, match="No space left") as raised, atomic_path(final) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(final) in str(raised.value) and raised.value.exit_status == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_device_that_is_really_full(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No space left"), atomic_path(tmp_path / "a") as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_text("x" * 100_000)
    assert list(tmp_path.iterdir()) == [] and Path("/dev/full").exists()


def test_the_temporary_name_is_nobodys_business_but_other_files_are_named(tmp_path: Path) -> None:
    final, source = tmp_path / "run", tmp_path / "gone.txt"
    for name in ("", "inner.bin"):
        with pytest.raises(RunError) as raised, atomic_path(final) as temporary:
            full = errno.ENOSPC
            raise OSError(full, os.strerror(full), str(temporary / name))
        assert str(raised.value).startswith(f"{final}: could not be written: No space left on device. What")
    with pytest.raises(RunError, match=r"run: could not be written: .*gone\.txt"), atomic_path(final):
        source.read_text()


def test_a_folder_appears_whole_too_and_is_removed_whole(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "run") as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("a")
    assert (tmp_path / "run" / "a").read_text() == "a"
    with pytest.raises(ValueError, match="stop"), atomic_path(tmp_path / "other") as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("a")
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_block_that_wrote_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="could not be written"), atomic_path(tmp_path / "a"):
        pass


def test_two_writers_of_one_file_do_not_meet_and_long_names_fit(tmp_path: Path) -> None:
    final = tmp_path / ("长" * 80 + ".json")
    with atomic_path(final) as first, atomic_path(final) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert final.read_text() == "1" and list(tmp_path.iterdir()) == [final]


def test_text_and_json_are_utf_8(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.txt", "一\n二\n")
    assert (tmp_path / "a.txt").read_bytes() == "一\n二\n".encode()
    write_json_atomic(tmp_path / "a.json", {"一": [1, 2.5, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"一": [1, 2.5, None]} and "一" in text and text.endswith("}\n")


def test_json_has_no_word_for_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json_atomic(tmp_path / "a.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="rights of files are POSIX's")
def test_files_get_the_rights_of_their_folder(tmp_path: Path) -> None:
    folder, inner = tmp_path / "adapter", tmp_path / "adapter" / "inner"
    inner.mkdir(parents=True)
    folder.chmod(0o750)
    inner.chmod(0o700)
    (folder / "weights").touch(0o600)
    share_files(folder)
    assert [path.stat().st_mode & 0o777 for path in (folder / "weights", inner)] == [0o640, 0o700]
