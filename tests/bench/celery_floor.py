"""The floor of W4: a task of plain Celery that does nothing but say that it was there."""

import os

from celery import Celery
from redis import Redis

BROKER = os.environ["WAYBILL_BROKER_URL"]
app = Celery("floor", broker=BROKER)
store = Redis(unix_socket_path=BROKER.removeprefix("redis+socket://"))


@app.task(name="note", ignore_result=True)
def note() -> None:
    store.incr("noted")
