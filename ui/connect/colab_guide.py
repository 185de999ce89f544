"""How to get an engine with a GPU: the notebook for Colab step by step, or the user's own machine.

``ui.connect.notebook`` makes the notebook.
"""

import streamlit as st

from ui.connect.notebook import NOTEBOOK_NAME, notebook

COLAB_TERMS = """
- **A free runtime must not be controlled from outside its notebook.** Colab's FAQ forbids
  "bypassing the notebook UI to interact primarily via a web UI", and Colab may end the runtime
  without a warning. A positive balance of compute units lifts that. Without one, use the last cells
  of the notebook: they make films there and save them to your Drive.
- Every runtime forbids deepfakes and services for others.
- The machine may disappear at any time. The app keeps what is finished; pair another engine, open
  the film and press Continue.
- ngrok's free plan carries 1 GB and 20,000 requests a month. Quick tunnels of Cloudflare need no
  account, have a new address at every start, and have no guarantee. Both vendors can see prompts
  and pictures, but never the key.
"""
COLAB_FAILURES = """
- **“There is no GPU here”**: Runtime → Change runtime type → T4 GPU, then Run all again.
- **ERR_NGROK_4018, 105 or 107**: the token is missing or wrong. Copy the *authtoken* from
  dashboard.ngrok.com again; an API key is something else.
- **ERR_NGROK_108 or 334**: another agent of your account is running, such as that of an older
  runtime. Stop it at dashboard.ngrok.com/agents; the engine keeps trying.
- **The link does not answer**: the runtime ended, or the tunnel has a new address. Look at the
  notebook's status cell, which shows the newest link. *Run all* starts what has stopped and keeps
  what is running.
- **A new address**: paste the new link above. It replaces the old one, and films continue.
- **The tunnel's monthly limit is reached**: choose the other tunnel in the notebook's form, and
  press *Run all* again.
"""
SERVE_COMMANDS = """\
# on the machine with the GPU
pip install -r engine/requirements.txt
python -m engine serve --port 8765 --model stable-diffusion-1.5-fast

# on this computer, for as long as you use it
ssh -N -L 8765:127.0.0.1:8765 gpu-machine"""


def colab_guide() -> None:
    """Draw the guide to an engine with a GPU."""
    colab, own = st.tabs(["A GPU at Google Colab", "A machine of your own"])
    with colab:
        _colab()
    with own:
        _own()


def _colab() -> None:
    columns = st.columns(3, gap="small")
    with columns[0], st.container(key="glass_lent_1", border=True, height="stretch"):
        st.markdown("**1 · Get the notebook**")
        st.markdown(
            "It contains the engine and its key. Anyone who has this file can use that engine, so "
            "treat it like a password."
        )
        st.download_button("Get the notebook", notebook, NOTEBOOK_NAME, "application/x-ipynb+json")
    with columns[1], st.container(key="glass_lent_2", border=True, height="stretch"):
        st.markdown("**2 · Run it**")
        st.markdown(
            "Upload it at [colab.research.google.com](https://colab.research.google.com). Choose "
            "a T4 GPU as its runtime, fill in the form, and press *Run all*. Before you use a free "
            "runtime, read below what Colab allows."
        )
    with columns[2], st.container(key="glass_lent_3", border=True, height="stretch"):
        st.markdown("**3 · Paste its link**")
        st.markdown(
            "After a few minutes the notebook shows a pairing link. Paste the whole line above, "
            "and press *Pair*."
        )
    with st.expander("What Colab allows, and what it costs"):
        st.markdown(COLAB_TERMS)
    with st.expander("If something does not work"):
        st.markdown(COLAB_FAILURES)


def _own() -> None:
    st.markdown(
        "Start the engine there and forward its port; then paste the link that it prints. Without "
        "SSH, `--tunnel ngrok` or `--tunnel cloudflared` gives the engine an https address. "
        "`docs/hosting.md` also describes pods, Kaggle and Tailscale."
    )
    st.code(SERVE_COMMANDS, language="bash")
