"""What every destination promises, as tests that run against each of them: `class TestX(Contract)` with a `world`."""

from typing import Any, Protocol

from integrations.connectors.registry import destination_kind
from integrations.connectors.spec import DestinationContext, Opened
from integrations.engine.batch import Bucket, Delivery, Document, LineRecords, MappedBatch
from integrations.engine.plan import DestinationSpec, FieldMap, Line, WriteMode
from integrations.engine.ports import Destination, Ticket

LINE = Line(
    name="Customer",
    target="customers",
    mode=WriteMode.INSERT,
    keys=("number",),
    fields=(FieldMap(target="number"), FieldMap(target="name")),
)


class World(Protocol):
    """An outside system under test. One that writes files has the `lines` that name them and a `shelf` to work on."""

    kind: str

    def opened(self) -> Opened: ...

    def numbers(self) -> list[str]:
        """What it holds, by the number of each record; one that is there twice is listed twice."""


def open_destination(world: World, *lines: Line) -> Destination:
    spec = DestinationSpec(kind=world.kind, connection="c")
    lines = lines or getattr(world, "lines", (LINE,))
    workspace = getattr(world, "shelf", None)
    return destination_kind(world.kind).open(
        DestinationContext(spec=spec, lines=lines, opened=world.opened(), workspace=workspace)
    )


def batch_of(*records: Any, owners: list[int] | None = None, first: int = 1) -> MappedBatch:
    """A batch of one line; each record is a document of its own unless `owners` says otherwise."""
    owners = owners if owners is not None else list(range(len(records)))
    count = max(owners, default=-1) + 1
    documents = [Document(first + i, str(records[owners.index(i)][0]), [["x"]], [first + i]) for i in range(count)]
    lines = [LineRecords(records=[list(record) for record in records], owners=owners)]
    return MappedBatch(documents=documents, lines=lines, verdicts=[None] * count)


def ticket(segment: int = 1, epoch: int = 1, *, in_doubt: bool = False) -> Ticket:
    return Ticket(run="run-1", token="token", epoch=epoch, segment=segment, in_doubt=in_doubt)


def deliver(destination: Destination, *records: Any, segment: int = 1) -> Delivery:
    return destination.deliver(batch_of(*records), ticket(segment))


class Contract:
    """The promises. A subclass gives the fixture `world`."""

    refused: Any = ("2", None)
    """A record that this system refuses."""

    def test_every_document_gets_its_answer(self, world: World) -> None:
        destination = open_destination(world)
        destination.enter(ticket())
        delivery = deliver(destination, ("1", "a"), ("2", "b"))
        destination.close()
        assert [bucket in (Bucket.CREATED, Bucket.UPDATED) for bucket in delivery.buckets] == [True, True]
        assert world.numbers() == ["1", "2"]

    def test_a_refused_document_fails_alone_with_the_reason(self, world: World) -> None:
        destination = open_destination(world)
        destination.enter(ticket())
        delivery = deliver(destination, ("1", "a"), self.refused, ("3", "c"))
        destination.close()
        assert delivery.buckets[1] is Bucket.FAILED
        assert Bucket.FAILED not in (delivery.buckets[0], delivery.buckets[2])
        assert delivery.problems[1].sentence.endswith((".", "given", "bad"))
        assert world.numbers() == ["1", "3"]

    def test_what_has_its_verdict_already_is_not_sent(self, world: World) -> None:
        destination = open_destination(world)
        destination.enter(ticket())
        batch = batch_of(("1", "a"), ("2", "b"))
        batch.lines[0] = LineRecords(records=[["1", "a"]], owners=[0])
        batch.verdicts[1] = Bucket.RESTRICTED
        delivery = destination.deliver(batch, ticket())
        destination.close()
        assert delivery.buckets[1] is Bucket.RESTRICTED
        assert world.numbers() == ["1"]

    def test_the_records_of_a_line_are_counted(self, world: World) -> None:
        destination = open_destination(world)
        destination.enter(ticket())
        delivery = destination.deliver(batch_of(("1", "a"), ("1b", "b"), ("2", "c"), owners=[0, 0, 1]), ticket())
        destination.close()
        assert sum(delivery.line_counts[0].values()) == 3
        assert len(delivery.buckets) == 2
