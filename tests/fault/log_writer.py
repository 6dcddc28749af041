"""Appends numbered rows to a log until killed; prints each number once it is acknowledged."""

import sys

from log_core import Append, Log, records


def main(path: str) -> None:
    log = Log(path)
    log.create_topic("rows", 2, {"segment.bytes": "4096"})
    log.create_topic("state", 1, {"segment.bytes": "1024", "cleanup.policy": "compact"})
    epoch = log.open_writer("w")
    number = log.end_offset("rows", 0)
    while True:
        row = records.encode([b"k"], [b"%d" % number + bytes(number % 700)], [number])
        state = records.encode([b"%d" % (number % 3)], [b"%d" % number], [number])
        appends = [Append("rows", 0, row), Append("rows", 1, row), Append("state", 0, state)]
        log.append(appends, writer=("w", epoch), group=("g", {("rows", 0): number + 1}))
        print(number, flush=True)
        number += 1
        if number % 40 == 0:
            log.clean(number)


if __name__ == "__main__":
    main(sys.argv[1])
