"""The bundled partitioned log: ``from log_core import Log``."""

from log_core import errors, files, records
from log_core.appender import Append
from log_core.log import Log
from log_core.topics import Topic

__all__ = ["Append", "Log", "Topic", "errors", "files", "records"]
