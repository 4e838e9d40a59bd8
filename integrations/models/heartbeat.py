"""When each part of the installation was last seen alive. Belongs to no company."""

from django.db import models


class Heartbeat(models.Model):
    """One row a part: a worker by its name, or the clock."""

    part = models.CharField(max_length=120, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.part
