"""What the logs and the declaration tell about a submission in words: tokenizer, and how code was counted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from golfreg.leaderboard.challenge.code import Code
from golfreg.leaderboard.challenge.logs import LogFacts
from golfreg.leaderboard.challenge.submission import Declared

_VOCABULARY = re.compile(r"fineweb_(\d{3,6})_bpe|fineweb10b_sp(\d{3,6})")


def tokenizer(logs: Sequence[LogFacts], declared: Declared) -> str:
    """``SP1024``, ``SP8192 CaseOps``, ``byte``; from the echoed settings, else the declaration; else empty."""
    for log in logs:
        files = log.tokenizer_files.lower()
        size = log.settings.get("vocab_size", "")
        if not size and (match := _VOCABULARY.search(files)):
            size = match[1] or match[2]
        if re.search(r"tokenizer_kind=\w*byte", files):
            return "byte"
        if size.isdigit() and int(size) >= 512:
            caseops = "caseops" in files or log.settings.get("caseops_enabled") == "True"
            return f"SP{size}{' CaseOps' if caseops else ''}"
    said = f"{declared.tokenizer} {declared.title}"
    match = re.search(r"\bSP-?(\d{4})\b|\bBPE (\d{4})\b", said, re.IGNORECASE)
    if match:
        return f"SP{match[1] or match[2]}" + (" CaseOps" if "caseops" in said.lower() else "")
    return ""


def code_policy(code: Code, logs: Sequence[LogFacts], declared: Declared) -> str:
    """How the code in the totals was counted: see ``golfreg.rules.ruleset.CODE_COUNTS``; empty where unknown."""
    shipped = code.counted.get("shipped", 0)
    if not shipped:
        return ""
    if code.stub:
        return "indirect"
    if any(log.code_plain_bytes and log.code_bytes and log.code_bytes < log.code_plain_bytes for log in logs):
        counted = next(log.code_bytes for log in logs if log.code_plain_bytes)
        return "packed" if counted == shipped else "computed-packed"
    counted = declared.code_bytes or next((log.code_bytes for log in logs if log.code_bytes), None)
    if not code.layers and counted is not None and 2 * counted < shipped:
        return "computed-packed"
    return "packed" if code.layers else "plain"
