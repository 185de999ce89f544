# @title Settings { display-mode: "form" }
# @markdown How the app connects to this machine. ngrok needs a (free) account and its authtoken.
tunnel = "ngrok"  # @param ["ngrok", "cloudflared", "none"]
# @markdown From dashboard.ngrok.com. Better: put it into Colab's Secrets (the key on the left)
# @markdown as NGROK_AUTHTOKEN and leave this empty; then this file does not contain it.
ngrok_token = ""  # @param {type:"string"}
# @markdown Your own domain at ngrok, if you have one; the link then stays the same.
ngrok_domain = ""  # @param {type:"string"}
# @markdown A model of the list, or any hub id, folder or file that `--model` accepts.
model = "%MODEL%"  # @param %MODELS% {allow-input: true}
# @markdown Minutes to show the status below. The engine keeps running afterwards.
status_minutes = 10  # @param {type:"integer"}
