"""Faults by name. Each keeps what it was told before its fault in `told.jsonl` of its directory."""

import json
import os
import sys
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    at: str = "metrics"
    holds: int = -1


class Observation:
    def __init__(self, run, config, fault):
        run.directory.mkdir(parents=True, exist_ok=True)
        self.file = (run.directory / "told.jsonl").open("a")
        self.config, self.fault = config, fault
        if config.holds >= 0:
            self.told_step = config.holds
        self.keep({"event": "open", "resumed": run.resumed, "told_step": run.told_step, "priority": self.priority()})

    def priority(self):
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if sys.platform == "linux" else None

    def keep(self, event):
        self.file.write(json.dumps(event) + "\n")
        self.file.flush()

    def tell(self, event):
        if event["event"] == self.config.at:
            if self.fault == "raises":
                raise LookupError("no bell was found")
            if self.fault == "exits":
                sys.exit(3)
            if self.fault == "prints":
                print("this is not JSON")
            if self.fault == "hangs":
                time.sleep(600)
        self.keep(event)
        event.clear()

    def close(self):
        self.file.close()


class Observer:
    Config = Config

    def __init__(self, fault):
        self.fault = fault

    def open(self, run, config):
        return Observation(run, config, self.fault)


keeps, raises, exits, prints, hangs = (Observer(name) for name in ("keeps", "raises", "exits", "prints", "hangs"))
