"""Files that are whole or not there."""

import pytest

from mulkinet import MulkinetError
from mulkinet.files.atomic import atomic_path


@pytest.mark.parametrize("path", [".", "/", ""])
def test_what_has_no_name_is_no_file(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MulkinetError, match="expected a file, found a folder"), atomic_path(path):
        pass
    assert list(tmp_path.iterdir()) == []
