"""The process that goes through one package: what it begins and what came of it, on one line each."""

import json
import os
import sys

from real.collect import examples
from real.compare import outcome_of


def main() -> None:
    request = json.loads(sys.stdin.read())
    out = os.fdopen(os.dup(1), "w")  # packages print
    os.dup2(2, 1)
    done, only = set(request["done"]), set(request["only"])
    for example in examples(sys.argv[1], lambda path: path not in done and (not only or path in only)):
        print("BEGIN", example.path, file=out, flush=True)
        print("DONE", json.dumps(outcome_of(example)._asdict()), file=out, flush=True)
    print("END", file=out, flush=True)
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
