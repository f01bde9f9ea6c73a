"""The Streamlit script: one page at ``/systems/integrations`` (``server.baseUrlPath`` gives the first part)."""

from __future__ import annotations

import streamlit as st

from dashboard.views import integrations


def main() -> None:
    """Set the page up and run the view that the address names."""
    icon = str(integrations.ICON)
    st.set_page_config(page_title="Integrations", page_icon=icon, layout="wide", initial_sidebar_state="collapsed")
    home = st.Page(integrations.page, title="Integrations", url_path="integrations")
    # A default page always has the empty path; routes of ours lead from there to the page, so this is a net.
    start = st.Page(lambda: st.switch_page(home), title="Start", url_path="start", default=True)
    st.navigation([start, home], position="hidden").run()


main()
