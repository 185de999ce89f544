"""How to get an engine with a GPU: the notebook for Colab step by step, and a machine of one's own.

It draws; the notebook itself is made in ``ui.connect.notebook``.
"""

import streamlit as st

from ui.connect.notebook import NAME, notebook

TERMS = """
- **A free runtime must not be driven from outside its notebook.** Colab's FAQ forbids "bypassing
  the notebook UI to interact primarily via a web UI" and may end the runtime without a warning. A
  positive balance of compute units lifts that. Without one, use the last cells of the notebook:
  they make films there and save them to your Drive.
- Deepfakes and offering services to others are forbidden on every runtime.
- The machine may vanish at any time. What is finished is kept here; pair another engine, open the
  film and press Continue.
- ngrok's free plan carries 1 GB and 20,000 requests a month. Quick tunnels of Cloudflare want no
  account, have a new address at every start, and come without any promise. Either vendor can see
  prompts and pictures, never the key.
"""
FAILURES = """
- **“There is no GPU here”**: Runtime → Change runtime type → T4 GPU, then Run all again.
- **ERR_NGROK_4018, 105 or 107**: the token is missing or wrong. Copy the *authtoken* from
  dashboard.ngrok.com again; an API key is something else.
- **ERR_NGROK_108 or 334**: another agent of your account is running, such as that of an older
  runtime. End it at dashboard.ngrok.com/agents; the engine goes on trying by itself.
- **The link does not answer**: the runtime ended, or the tunnel has a new address. Look at the
  notebook's status cell; it shows the newest link. Run all again starts what has ended and keeps
  what runs.
- **A new address**: paste the new link above. It takes the place of the old one, and films go on.
- **The tunnel's month is used up**: choose the other tunnel in the notebook's form, and Run all
  again.
"""
SERVE = """\
# on the machine with the GPU
pip install -r engine/requirements.txt
python -m engine serve --port 8765 --model stable-diffusion-1.5-fast

# on this computer, for as long as you use it
ssh -N -L 8765:127.0.0.1:8765 gpu-machine"""


def colab_guide() -> None:
    """Draw the ways to an engine with a GPU."""
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
            "It carries the engine and a key of its own. Whoever has this file can use that "
            "engine, so treat it like a password."
        )
        st.download_button("Get the notebook", notebook, NAME, "application/x-ipynb+json")
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
        st.markdown(TERMS)
    with st.expander("If something is in the way"):
        st.markdown(FAILURES)


def _own() -> None:
    st.markdown(
        "Start the engine there and forward its port; then paste the link that it prints. Where "
        "SSH does not reach, `--tunnel ngrok` or `--tunnel cloudflared` give the engine an https "
        "address. `docs/hosting.md` tells of pods, Kaggle and Tailscale, too."
    )
    st.code(SERVE, language="bash")
