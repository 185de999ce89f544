"""What the pages of the app share.

Modules here know the engine's client and its values; they never import torch nor anything that
renders. Only ``ui.app_state``, ``ui.shell`` and what draws know Streamlit.
"""
