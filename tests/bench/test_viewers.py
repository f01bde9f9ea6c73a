"""What pages that stand open cost the web process. `make bench`."""

from __future__ import annotations

import os
import statistics
import threading
import time

import psutil
import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from common.store import people
from common.store.database import Database
from tests.dashboard import seed
from tests.dashboard.conftest import Web, house, shared_database, shared_web

__all__ = ["house", "shared_database", "shared_web"]
VIEWERS = int(os.environ.get("BENCH_VIEWERS", "100"))
TICK_SECONDS = 2.0
SECONDS = 20.0


class Viewer(threading.Thread):
    """An open page without a browser: its websocket, and the timer that ticks in its one fragment."""

    def __init__(self, web: Web, token: str, delay_seconds: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._address = web.address
        self._token = token
        self._delay_seconds = delay_seconds
        self._end = stop
        self._fragment = self._timer = self._page = ""
        self.took_seconds: list[float] = []

    def run(self) -> None:
        """Open the page, then tick until told to stop."""
        address = self._address.replace("http", "ws") + "/systems/_stcore/stream"
        headers = {"Cookie": f"hc_session={self._token}"}
        origin = websockets.Origin(self._address)
        protocol = [websockets.Subprotocol("streamlit")]
        with connect(
            address, origin=origin, subprotocols=protocol, additional_headers=headers, max_size=None
        ) as socket:
            first = BackMsg()
            first.rerun_script.page_name = "integrations"
            socket.send(first.SerializeToString())
            self._finish(socket)
            self._end.wait(self._delay_seconds)
            tick = 0
            while not self._end.is_set():
                tick += 1
                began = time.monotonic()
                socket.send(self._tick(tick))
                self._finish(socket)
                self.took_seconds.append(time.monotonic() - began)
                self._end.wait(max(0.0, TICK_SECONDS - self.took_seconds[-1]))

    def _tick(self, number: int) -> bytes:
        message = BackMsg()
        message.rerun_script.fragment_id = self._fragment
        message.rerun_script.page_script_hash = self._page
        timer = message.rerun_script.widget_states.widgets.add()
        timer.id = self._timer
        timer.json_value = str(number)
        return bytes(message.SerializeToString())

    def _finish(self, socket: ClientConnection) -> None:
        while True:
            message = ForwardMsg()
            message.ParseFromString(socket.recv(timeout=60, decode=False))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self._page = message.new_session.page_script_hash
            elif kind == "delta":
                self._fragment = message.delta.fragment_id or self._fragment
                if message.delta.new_element.HasField("component_instance"):
                    self._timer = message.delta.new_element.component_instance.id
            elif kind == "script_finished" and self._timer:
                return


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_a_hundred_open_pages(house: Web, shared_database: Database) -> None:
    """A hundred live pages cost less than one core, and each tick is answered at once."""
    seed.good_day(shared_database)
    person_id = seed.person(shared_database, "vito")
    with shared_database.transaction() as link:
        token = people.start_session(link, person_id, seconds=600, address=None)
    stop = threading.Event()
    viewers = [Viewer(house, token, TICK_SECONDS * number / VIEWERS, stop) for number in range(VIEWERS)]
    for viewer in viewers:
        viewer.start()
        stop.wait(0.05)
    stop.wait(3 * TICK_SECONDS)
    process = psutil.Process(house.process.pid)
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    stop.wait(SECONDS)
    used = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
    stop.set()
    for viewer in viewers:
        viewer.join(30)
    took = [seconds for viewer in viewers for seconds in viewer.took_seconds[3:]]
    cuts = statistics.quantiles(took, n=20)
    print(
        f"{VIEWERS} open pages, {len(took)} ticks: web process {used:.0%} of a core; "
        f"a tick takes p50 {cuts[9] * 1000:.0f} ms, p95 {cuts[18] * 1000:.0f} ms"
    )
    assert len(took) > VIEWERS * (SECONDS / TICK_SECONDS) * 0.8
    assert used < 1
