"""One-time conversion of a GGUF file to a Hugging Face model folder that the engine serves.

transformers reads the weights but refuses to save what it has dequantised, so they are copied
into a plain model of the same architecture.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from tempfile import TemporaryDirectory

from compute_optimal.errors import StudyError

_WEIGHTS = "model.safetensors"


def import_gguf(package: str, output: Path) -> list[str]:
    """The command of this name: the model of a package in the folder ``output``, which it returns.

    Raises ``StudyError`` as the two functions below do.
    """
    return [str(convert_gguf(packaged_gguf(package), output))]


def packaged_gguf(package: str) -> Path:
    """The GGUF file that an installed Python package carries. The package is not imported.

    Raises ``StudyError`` where the package is missing or has no such file.
    """
    where = f"--package {package}"
    try:
        packaged = [file for file in files(package) or () if file.suffix == ".gguf"]
    # An empty name is a ``ValueError``.
    except (PackageNotFoundError, ValueError) as error:
        raise StudyError(
            f"the package {package!r} is not installed",
            where=where,
            cure="use the environment with the engine: make engine",
        ) from error
    if not packaged:
        raise StudyError(
            f"the package {package!r} holds no GGUF file",
            where=where,
            cure="name one that does, or leave the option out",
        )
    return Path(str(packaged[0].locate()))


def convert_gguf(file: Path, folder: Path) -> Path:
    """Write the model of ``file`` to ``folder``: config, tokenizer, float32 safetensors.

    Nothing is done if the folder is complete; the weights appear in it last, whole. Returns the
    folder. Raises ``StudyError`` where the file cannot be read or the folder is none.
    """
    if (folder / _WEIGHTS).exists():
        return folder
    if folder.exists() and not folder.is_dir():
        # transformers only remarks upon it, and saves nothing.
        raise StudyError(
            "a folder is to be made, and this is a file",
            where=str(folder),
            cure="name a folder of its own",
        )
    folder.mkdir(parents=True, exist_ok=True)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    try:
        quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**source)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"the GGUF file cannot be read: {error}",
            where=str(file),
            cure="check that it is complete and of an architecture that transformers reads",
        ) from error
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # Without weights of its own, which would be drawn at random and written over.
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(quantised.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = quantised.generation_config
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
        tokenizer.save_pretrained(partial)
        plain.save_pretrained(partial)
        _move(Path(partial), folder)
    return folder


def _move(saved: Path, folder: Path) -> None:
    """Move the files of a model to ``folder``, readable by whoever may read its configuration.

    The library that writes weights keeps them to the user, and a team shares a model's folder. The
    weights come last: they are the sign that the folder is complete.
    """
    mode = (saved / "config.json").stat().st_mode & 0o777
    for file in sorted(saved.iterdir(), key=lambda path: path.name == _WEIGHTS):
        file.chmod(mode)
        file.replace(folder / file.name)
