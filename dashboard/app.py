"""The web process: ``python -m streamlit run dashboard/app.py``.

One process, one port: Streamlit's page, our own routes, and the gate in front of both. Streamlit finds the app by its
name in this file's text, so ``app = st.App(...)`` stays a literal at module level.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `streamlit run` knows this folder, not its parent

from dashboard.api import dispatch
from dashboard.web import health, sign_in, single_sign_on
from dashboard.web.compressed import CompressedStatic
from dashboard.web.gate import SessionGate
from dashboard.web.headers import SecurityHeaders
from dashboard.web.lifespan import lifespan

app = st.App(
    Path(__file__).with_name("ui.py"),
    routes=[*health.ROUTES, *sign_in.ROUTES, *single_sign_on.ROUTES, *dispatch.ROUTES],
    middleware=[Middleware(SecurityHeaders), Middleware(SessionGate), Middleware(CompressedStatic)],
    lifespan=lifespan,
)
