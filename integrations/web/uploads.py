"""How files come in: into a temporary file, from people who are signed in, and never more bytes than are allowed."""

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import SkipFile, TemporaryFileUploadHandler


class BoundedUploadHandler(TemporaryFileUploadHandler):
    """Keeps no more than UPLOAD_LIMIT_BYTES of all files of a request; what is beyond is counted and dropped.

    The size that a file says is the one that was sent, so whoever takes it can refuse it by name. It runs before any
    view and any policy: what a stranger sends is read past and leaves nothing here.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        if self.request is None or not self.request.user.is_authenticated:
            raise SkipFile
        super().new_file(*args, **kwargs)

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        self._room = settings.UPLOAD_LIMIT_BYTES

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        kept = raw_data[: self._room]
        self._room -= len(kept)
        super().receive_data_chunk(kept, start)
