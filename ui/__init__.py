"""What the pages of the app share.

Modules here know the engine's client and its values; they never import torch nor anything that
renders. Only ``resources``, ``accounts``, ``look`` and what draws know Streamlit.
"""
