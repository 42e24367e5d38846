"""Writes tests/golden/events.bin with TensorBoard's own classes, or reads a folder of event files.

    python3 tests/reference/events.py                write the golden file
    python3 tests/reference/events.py --read FOLDER  print each scalar as "tag step=value ..."

Needs the package tensorboard. Golden file made with tensorboard 2.21.0.
"""

import io
import os
import sys

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter


def scalars(*pairs):
    return summary_pb2.Summary(
        value=[summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in pairs]
    )


def write(path):
    loss, rate = ("train/loss", 1.25), ("train/learning_rate", 3e-5)
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    events = [
        event_pb2.Event(wall_time=1700000000.25, file_version="brain.Event:2"),
        event_pb2.Event(wall_time=1700000000.25, step=42, session_log=start),
        event_pb2.Event(wall_time=1700000001.5, step=42, summary=scalars(loss, rate)),
        event_pb2.Event(wall_time=1700000002.75, step=300, summary=scalars(loss)),
    ]
    stream = io.BytesIO()
    writer = RecordWriter(stream)
    for event in events:
        writer.write(event.SerializeToString())
    with open(path, "wb") as f:
        f.write(stream.getvalue())


def read(folder):
    accumulator = event_accumulator.EventAccumulator(folder)
    accumulator.Reload()
    for tag in sorted(accumulator.Tags()["scalars"]):
        print(tag, *(f"{s.step}={s.value}" for s in accumulator.Scalars(tag)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(sys.argv[2])
    else:
        write(os.path.join(os.path.dirname(__file__), "..", "golden", "events.bin"))
