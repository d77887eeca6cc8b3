"""The desktop's own programs know what was installed, until it is removed; shells complete."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pillow_mlic import cli, desktop

from .conftest import GOLDEN, photograph

linux = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="desktops of Linux and BSD")


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")


def mlic(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def output(*command: object) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own, and a desktop whose questions `gio` answers."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")
    return tmp_path / "data"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.mlic"
    path.write_bytes((GOLDEN / "v2" / "rgb.mlic").read_bytes())
    return path


def content_type(path: Path) -> str:
    return output("gio", "info", "-a", "standard::content-type", path).rpartition(": ")[2]


@linux
@needs("xdg-mime", "gio", "update-mime-database", "update-desktop-database")
def test_the_desktop_knows_the_type(home: Path, photo: Path, tmp_path: Path) -> None:
    assert mlic("desktop", "install") == 0
    assert content_type(photo) == "image/x-mlic"
    assert output("xdg-mime", "query", "filetype", photo) == "image/x-mlic"
    assert output("xdg-mime", "query", "default", "image/x-mlic") == "pillow-mlic.desktop"
    nameless = tmp_path / "no-extension"
    nameless.write_bytes(photo.read_bytes())
    assert content_type(nameless) == "image/x-mlic"
    assert "pillow-mlic.desktop" in output("gio", "mime", "image/x-mlic")
    icon = output("gio", "info", "-a", "standard::icon", photo)
    assert "image-x-mlic" in icon
    assert (home / "icons/hicolor/scalable/mimetypes/image-x-mlic.svg").exists()


@linux
@needs("xdg-mime", "gio", "update-mime-database", "update-desktop-database")
def test_uninstalling_leaves_nothing(home: Path, photo: Path) -> None:
    assert mlic("desktop", "install") == 0
    assert mlic("desktop", "install") == 0
    assert mlic("desktop", "uninstall") == 0
    assert content_type(photo) != "image/x-mlic"
    assert output("xdg-mime", "query", "default", "image/x-mlic") == ""
    assert not list(home.rglob("*mlic*"))
    assert mlic("desktop", "uninstall") == 0


@linux
@needs("desktop-file-validate")
def test_the_entry_is_valid_wherever_python_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (sys.executable, '/opt/my "own" $HOME/100%/py\\thon'):
        monkeypatch.setattr(sys, "executable", place)
        desktop.install()
        entry = home / "applications" / "pillow-mlic.desktop"
        assert output("desktop-file-validate", entry) == ""


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/usr/bin/python3", "/usr/bin/python3"),
        ("/a b/python", '"/a b/python"'),
        ("/100%/python", "/100%%/python"),
        ("/a$b/python", r'"/a\\$b/python"'),
    ],
)
def test_words_of_an_exec_line(word: str, quoted: str) -> None:
    assert desktop._quoted(word) == quoted


@linux
def test_the_thumbnailer_is_a_command_that_works(
    home: Path, small_weights: Path, tmp_path: Path
) -> None:
    desktop.install()
    text = (home / "thumbnailers" / "pillow-mlic.thumbnailer").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("Exec=")]
    source, target = tmp_path / "a photo.mlic", tmp_path / "thumb.png"
    photograph(900, 600).save(source, preview=True, optimize=False)
    known = {"%s": "96", "%i": str(source), "%o": str(target)}
    words = [known.get(word, word) for word in shlex.split(line.removeprefix("Exec="))]
    root = Path(__file__).resolve().parent.parent
    subprocess.run(words, check=True, env={**os.environ, "PYTHONPATH": str(root)})
    with Image.open(target) as image:
        assert (image.format, image.size) == ("PNG", (96, 64))


@linux
def test_without_the_programs_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert mlic("desktop", "install") == 1
    assert "install shared-mime-info" in capsys.readouterr().err
    assert (home / "mime/packages/pillow-mlic.xml").exists()


def test_below_a_prefix_entries_depend_on_no_place(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As packages of distributions want it: nothing of this machine, and no caches."""
    prefix = tmp_path / "stage" / "usr"
    assert mlic("desktop", "install", "--prefix", prefix) == 0
    files = sorted(p.relative_to(prefix).as_posix() for p in prefix.rglob("*") if p.is_file())
    assert files == [
        "share/applications/pillow-mlic.desktop",
        "share/icons/hicolor/scalable/mimetypes/image-x-mlic.svg",
        "share/mime/packages/pillow-mlic.xml",
        "share/thumbnailers/pillow-mlic.thumbnailer",
    ]
    text = "".join((prefix / name).read_text() for name in files)
    assert "Exec=mlic view %F\n" in text
    assert "Exec=mlic desktop thumbnail --size %s %i %o\n" in text
    assert sys.executable not in text
    assert str(tmp_path) not in text
    assert not home.exists()
    assert mlic("desktop", "uninstall", "--prefix", prefix) == 0
    assert not [p for p in prefix.rglob("*") if p.is_file()]
    assert not home.exists()
    assert mlic("desktop", "uninstall", "--prefix", prefix) == 0
    assert capsys.readouterr().out.endswith("nothing was installed\n")


def test_other_desktops(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert mlic("desktop", "install") == 2
    assert "freedesktop.org" in capsys.readouterr().err


# Completion


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("shtab")
    path = tmp_path_factory.mktemp("completion") / "mlic"
    command = [sys.executable, "-m", "pillow_mlic", "completion", "bash"]
    path.write_text(output(*command))
    return path


@needs("bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mlic enc", {"encode"}),
        ("mlic batch --en", {"--engine"}),
        ("mlic batch a b --engine r", {"ray"}),
        ("mlic desktop un", {"uninstall"}),
        ("mlic ben", {"bench"}),
        ("mlic encode ph", {"photo.jpg", "photos"}),
    ],
)
def test_bash_completes(script: Path, words: str, expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "photos").mkdir()
    program = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({words}); "
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        "_shtab_mlic mlic ${COMP_WORDS[COMP_CWORD]}; printf '%s\\n' ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert set(done.stdout.split()) == expected, done.stderr


def test_completion_without_shtab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert mlic("completion", "bash") == 2
    assert "pillow-mlic[completion]" in capsys.readouterr().err
