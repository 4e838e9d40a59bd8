"""The doorbell. Jobs live in `jobs.py` modules, because *task* is the user's word."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("waybill")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["integrations.runs"], related_name="jobs")
# Every worker also looks for itself, beats and stops at a segment.
app.steps["worker"].add("integrations.runs.worker:Lookout")
