"""A signature over the files of a finished run, by a key of the user's and offline (OpenSSF model signing)."""

from __future__ import annotations

from pathlib import Path

from harden.errors import InputError, MissingExtraError
from harden.report.files import RECORD
from harden.runfolder import no_finished_run

SIGNATURE = "model.sig"
# What a run hands on; its logs and checkpoints are not signed.
_SIGNED = ("model.onnx", "model.onnx.data", "model.safetensors", RECORD, "report.html", "README.md", "bom.json")


def sign(folder: Path, key: Path) -> Path:
    """Sign the model and the reports of a run with an elliptic private key; nothing is sent anywhere.

    Args:
        folder: The run folder.
        key: An unencrypted private key in PEM, such as ``openssl ecparam -name prime256v1 -genkey -noout`` writes.

    Returns:
        The signature file, ``model.sig``: a Sigstore bundle that names each signed file with its SHA-256. Who checks it
        has to be told to ignore unsigned files.

    Raises:
        MissingExtraError: The package ``model-signing`` is not installed.
        InputError: The folder holds no finished run, or the key cannot be used.
    """
    try:
        from model_signing import hashing, signing
    except ImportError as error:
        raise MissingExtraError("signing", "sign") from error
    if not (folder / RECORD).is_file():
        raise no_finished_run(folder, RECORD)
    if not key.is_file():
        fix = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
        raise InputError("no such key", where=str(key), fix=fix)
    folder = folder.resolve()  # the package takes relative paths to be inside the folder
    skipped = [path for path in folder.iterdir() if path.name not in _SIGNED]
    hashes = hashing.Config().set_ignored_paths(paths=skipped, ignore_git_paths=False)
    try:
        signer = signing.Config().set_hashing_config(hashes).use_elliptic_key_signer(private_key=key)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"is not a private key that can sign: {error}", where=str(key), fix="Give an elliptic key, PEM"
        ) from error
    signer.sign(folder, folder / SIGNATURE)
    return folder / SIGNATURE
