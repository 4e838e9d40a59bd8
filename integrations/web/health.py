"""`/health/` and `/metrics/`: what a load balancer, a supervisor and a monitor ask."""

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from django_scopes import scopes_disabled
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from accounts.policy import public
from integrations.models import Run
from integrations.models.run import OPEN
from integrations.runs.health import CLOCK, CRON, beats, broker_fault, worker_beats


@require_GET
@never_cache
@public
def health(request: HttpRequest) -> JsonResponse:
    """200 when database, broker, worker and clock answer; 503 with what does not."""
    parts = {"database": _database()}
    parts["broker"] = _broker()
    if parts["database"] == "ok":
        parts["worker"] = _worker()
        parts["clock"] = _clock()
    else:
        parts["worker"] = parts["clock"] = "unknown: the database does not answer"
    well = all(said == "ok" for said in parts.values())
    response = JsonResponse({"status": "ok" if well else "ill", **parts}, status=200 if well else 503)
    # Django logs every 5xx as an error of this server; here it is the answer.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@require_GET
@never_cache
@public
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus: for this machine itself, or for whoever shows the token of WAYBILL_METRICS_TOKEN."""
    if not _may_measure(request):
        return HttpResponse("Show the token of WAYBILL_METRICS_TOKEN as a bearer token.\n", status=403)
    registry = CollectorRegistry()
    runs = Gauge("waybill_runs", "Runs by status", ["status"], registry=registry)
    alive = Gauge("waybill_workers_alive", "Workers that gave a sign of life lately", registry=registry)
    waiting = Gauge("waybill_runs_unfinished", "Runs that are queued or in progress", registry=registry)
    with scopes_disabled():
        counts = dict(Run.objects.order_by().values_list("status").annotate(Count("pk")))
    for status, count in counts.items():
        runs.labels(status).set(count)
    waiting.set(sum(counts.get(status, 0) for status in OPEN))
    alive.set(sum(beat.is_alive for beat in worker_beats()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_measure(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        from django.utils.crypto import constant_time_compare

        return constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}")
    return request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1") and "HTTP_X_FORWARDED_FOR" not in request.META


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"does not answer ({type(error).__name__})"
    return "ok"


def _broker() -> str:
    fault = broker_fault()
    return f"does not answer ({fault})" if fault else "ok"


def _worker() -> str:
    seen = worker_beats()
    if any(beat.is_alive for beat in seen):
        return "ok"
    return "no worker has given a sign of life lately" if seen else "no worker runs"


def _clock() -> str:
    # A clock that was killed is missed, whatever cron does; without one, cron's call every minute is the clock.
    seen = beats(CLOCK) or beats(CRON)
    return "ok" if any(beat.is_alive for beat in seen) else "the clock has given no sign of life lately"
