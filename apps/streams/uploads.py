"""An upload of any size straight to disk, refused before its body is sent.

    export UPLOAD_TOKEN=$(openssl rand -hex 16) UPLOAD_FOLDER=/srv/uploads
    greenserve 'apps.streams.uploads:create_app()' --limit-request-body 10G
    curl -T big.iso -H "Authorization: Bearer $UPLOAD_TOKEN" localhost:8000/files/

curl asks before it sends much (`Expect: 100-continue`, RFC 9110 §10.1.1), and greenserve says "continue" at the first
read of the body. So whatever is refused before that read costs the client no upload.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from greenserve import threads

MOST_BYTES = 10 * 2**30
LEFT_FREE = 2**30  # bytes that an upload leaves on the disk
PIECE = 256 * 2**10


def create_app(folder: str | None = None, token: str | None = None) -> Flask:
    """Make the app; without arguments by UPLOAD_FOLDER and UPLOAD_TOKEN."""
    token = token or os.environ.get("UPLOAD_TOKEN", "")
    target = Path(folder or os.environ.get("UPLOAD_FOLDER", "")).absolute()
    if not token or not target.is_dir() or not (folder or os.environ.get("UPLOAD_FOLDER")):
        raise RuntimeError("Set UPLOAD_TOKEN to a secret and UPLOAD_FOLDER to a folder for the uploads.")
    app = Flask(__name__)

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.description), error.code or 500

    @app.put("/files/<name>")
    def upload(name: str) -> tuple[Response, int]:
        """Keep the body under `name`, whole or not at all."""
        refuse_unless_welcome(token, target, name)
        # From here on a slow client is ended by body_timeout and body_min_rate alone, a large file by nothing.
        if set_timeout := request.environ.get("greenserve.set_timeout"):
            set_timeout(None)
        digest = hashlib.sha256()
        # A name of its own in the same folder, so that the last step is one rename.
        descriptor, part = tempfile.mkstemp(dir=target, prefix=".upload-")
        try:
            with open(descriptor, "wb") as file:
                size = receive(request.stream, file, digest)
                threads.execute(publish, file, part, target / name)
        except BaseException:  # also the end of the request's time, which is no Exception
            Path(part).unlink(missing_ok=True)
            raise
        return jsonify(name=name, bytes=size, sha256=digest.hexdigest()), 201

    return app


def refuse_unless_welcome(token: str, folder: Path, name: str) -> None:
    """Answer everything that can be known before the body; reads nothing of it."""
    given = request.headers.get("Authorization", "").encode()
    if not hmac.compare_digest(given, b"Bearer " + token.encode()):
        abort(401, "Send Authorization: Bearer and the token.")
    if (
        name.startswith(".")
        or not name.isprintable()
        or "/" in name
        or "\\" in name
        or len(name.encode()) > 200
    ):
        abort(400, "Choose a name of at most 200 bytes that begins with no dot and has no slash.")
    if (folder / name).is_dir():
        abort(409, "Choose another name: this one is a folder.")
    if request.content_length is None:
        abort(411, "Send Content-Length, so that the space can be checked before the upload.")
    if request.content_length > MOST_BYTES:
        abort(413, f"Send at most {MOST_BYTES} bytes.")
    if request.content_length > shutil.disk_usage(folder).free - LEFT_FREE:
        abort(413, "The disk has no room for this file. Try again later or send a smaller one.")


def receive(body: IO[bytes], file: IO[bytes], digest: Any) -> int:
    """Write `body` to `file` and return its size. It holds one piece at a time; a body that breaks off raises."""

    def keep(piece: bytes) -> None:
        file.write(piece)
        digest.update(piece)

    size = 0
    while piece := body.read(PIECE):
        threads.execute(keep, piece)  # a slow disk holds up no other request
        size += len(piece)
    return size


def publish(file: IO[bytes], part: str, path: Path) -> None:
    """Give a complete file its name, over an older one; what has a name survives a power failure."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(part, path)
