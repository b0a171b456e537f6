"""The file of what people have accepted of gates, beside atms.yaml."""

from __future__ import annotations

from os.path import join

from atms_cli.domain import baseline
from atms_cli.errors import AtmsError
from atms_cli.store.settings import write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from atms_cli.domain.thresholds import Baseline


class BaselineFile:
    """The file, read whole and written whole."""

    def __init__(self, root: str) -> None:
        self.path = join(root, baseline.FILE)

    def read(self) -> dict[str, Baseline]:
        """Return the baselines by gate; none if there is no file.

        Raises:
            AtmsError: it cannot be read.

        """
        try:
            with open(self.path, encoding="utf-8") as file:
                return baseline.parse(file.read())
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise AtmsError(f"cannot read {self.path}: {error}") from error

    def write(self, baselines: Mapping[str, Baseline]) -> None:
        """Put the file in place, whole or not at all."""
        write_atomically(self.path, baseline.render(baselines).encode())
