"""History -> batches: read bars, trades and quotes from files and frames as chunks of columns, checked and in
time order.
"""

from openbell.adapters.stores.history.checks import Quality
from openbell.adapters.stores.history.columns import CHUNK_ROWS, FIELDS, Columns, History, Kind, concatenate
from openbell.adapters.stores.history.merge import Batch, MergedHistory, Part, merge, read_all
from openbell.adapters.stores.history.reader import HistoryReader, nanoseconds, read_history

__all__ = [
    "CHUNK_ROWS",
    "FIELDS",
    "Batch",
    "Columns",
    "History",
    "HistoryReader",
    "Kind",
    "MergedHistory",
    "Part",
    "Quality",
    "concatenate",
    "merge",
    "nanoseconds",
    "read_all",
    "read_history",
]
