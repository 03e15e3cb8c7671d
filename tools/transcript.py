"""Write docs/dataiku/transcript.md and its picture anew: `treadle dataiku run` against the simulator, as people see it.

Three scenarios are run on a terminal and once more into a pipe. Times and ids are those of the moment, so this is run by
hand (`make transcript`) when what people see has changed, and the result is looked at.
"""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from treadle.vendors.dataiku.simulator.clock import RealClock
from treadle.vendors.dataiku.simulator.server import running

DOCS = Path(__file__).parent.parent / "docs" / "dataiku"
COMMAND = ["treadle", "dataiku", "run", "DEMO", "NIGHTLY", "WEEKLY_REPORT", "BROKEN"]
COLUMNS = 132
REDRAWN = re.compile(r"(?:\r|\x1b\[2K|\x1b\[\d*A)*\x1b\[\d*A(?:\r|\x1b\[2K|\x1b\[\d*A)*")
"""What takes the cursor back to the beginning of a table that is drawn again."""
OTHER = re.compile(r"\x1b\[\?\d+[hl]|\x1b\[2K")
PAGE = """\
# What `treadle dataiku run` shows

<!-- Written by `make transcript`; do not edit here. -->

Three scenarios of the [simulator](simulator.md), which `treadle dataiku simulate` serves.

## On a terminal

The table follows the scenarios: their state, the time against the average of the last runs, the step that is on. Here it
is while they run, and when they are over.

![The table of three scenarios while they run and when they are over, and how each ended](transcript.svg)

## Elsewhere

Into a pipe, a file or the log of a job, the same command writes a line for each change to stderr, and how each scenario
ended to stdout. Its exit code here is 1, for one of them FAILED.

```console
{plain}
```
"""


def main() -> int:
    """Run the command twice and write the page and the picture."""
    own = {"DKU_DSS_URL": "http://127.0.0.1:11200", "DKU_API_KEY": "demo-key"}
    screen = {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with TemporaryDirectory() as home:  # where the journal goes
        env = {"PATH": os.environ["PATH"], "HOME": home, **own, **screen}
        with running(clock=RealClock(speed=2), port=11200):
            frames = seen_on_a_terminal(env)
        with running(clock=RealClock(speed=2), port=11200):
            done = subprocess.run(
                COMMAND, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
    prompt = f"$ {' '.join(COMMAND)}"
    (DOCS / "transcript.md").write_text(PAGE.format(plain=f"{prompt}\n{done.stdout.rstrip()}"), "utf-8")
    middle = max(frames[:-1], key=lambda frame: (frame.count("running"), frames.index(frame)))
    picture(DOCS / "transcript.svg", prompt, middle, frames[-1])
    print(f"wrote {DOCS / 'transcript.md'} and {DOCS / 'transcript.svg'}; look at them")
    return 0


def seen_on_a_terminal(env: dict[str, str]) -> list[str]:
    """Give what a terminal showed from one drawing of the table to the next."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(COMMAND, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        parts.append(part)
    os.close(ours)
    process.wait()
    return [OTHER.sub("", frame) for frame in REDRAWN.split(b"".join(parts).decode().replace("\r\n", "\n"))]


def picture(path: Path, prompt: str, middle: str, last: str) -> None:
    """Draw two moments of a terminal."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(prompt, style="bold"))
    console.print(Text.from_ansi(middle.rstrip()))
    console.print(Text("\n  …\n", style="dim"))
    console.print(Text.from_ansi(last.rstrip()))
    drawn = console.export_svg(title="treadle dataiku run")
    # A picture fetches nothing: the machine's own monospaced font will do.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
