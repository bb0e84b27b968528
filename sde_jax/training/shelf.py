"""The folders of a run's checkpoints: which count, which are kept, which are set aside."""

import shutil
from dataclasses import dataclass
from pathlib import Path

COMMITTED = "commit_success.txt"
REASON = "damaged.txt"


@dataclass(frozen=True)
class Shelf:
    """The folders in `path`, one a step, named by it.

    A folder counts once it is committed: once the file that is written last is in it. Folders that were set aside are
    named `damaged-<step>`, say why in `damaged.txt`, and are never removed.
    """

    path: Path

    @property
    def steps(self) -> list[int]:
        """The committed steps, ascending."""
        return sorted(int(folder.name) for folder in self._folders() if (folder / COMMITTED).exists())

    @property
    def aside(self) -> dict[str, str]:
        """The reasons why folders were set aside, by name."""
        folders = sorted(self.path.glob("damaged-*/")) if self.path.is_dir() else []
        reasons = {folder: folder / REASON for folder in folders}
        return {f.name: r.read_text().strip() if r.exists() else "set aside" for f, r in reasons.items()}

    def folder(self, step: int) -> Path:
        """Return where a step is, or would be."""
        return self.path / str(step)

    def clear(self) -> None:
        """Remove the folders that do not count: what killed saves and removals left."""
        for folder in self._folders():
            if not (folder / COMMITTED).exists():
                shutil.rmtree(folder)

    def prune(self, keep: int, keep_every: int) -> None:
        """Remove all steps but the last `keep` and, of every `keep_every` steps (0: none), the first that is there."""
        steps = self.steps
        before = [0, *steps]
        apart = [
            s
            for s, previous in zip(steps, before, strict=False)
            if keep_every and s // keep_every > previous // keep_every
        ]
        for step in sorted({*steps} - {*steps[-keep:], *apart}):
            # It must not count any more when a kill leaves half of it.
            (self.folder(step) / COMMITTED).unlink()
            shutil.rmtree(self.folder(step))

    def set_aside(self, step: int, reason: str) -> Path:
        """Rename the folder of a step so that it counts no more, with the reason in it; return where it is now."""
        names = [f"damaged-{step}", *(f"damaged-{step}-{n}" for n in range(2, 1000))]
        target = next(self.path / name for name in names if not (self.path / name).exists())
        (self.folder(step) / REASON).write_text(f"{reason}\n")
        return self.folder(step).rename(target)

    def _folders(self) -> list[Path]:
        entries = self.path.iterdir() if self.path.is_dir() else ()
        return [entry for entry in entries if entry.name.isdecimal() and entry.is_dir()]
