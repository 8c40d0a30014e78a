"""`openbell serve history`: history for backtests in other processes, as sessions over the bus."""

from pathlib import Path

from openbell.adapters.stores.candles import open_candles
from openbell.services.history.service import HistoryService
from openbell.services.processes.process import Process, database_place
from openbell.services.topics.names import SESSIONS

#: In the data folder, where data sets of one's own are.
FOLDER = "history"


async def build(process: Process) -> None:
    """Send the shipped data sets, the files of the folder `history`, and the stored candles. One such process a platform."""
    edge, settings = process.edge, process.settings
    candles = open_candles(database_place(settings))
    process.stack.callback(candles.close)
    folder = Path(settings.trading.data_dir) / FOLDER
    history = HistoryService(edge.market, process.channel, candles, folder, edge.name(SESSIONS))
    process.services.append(history)
