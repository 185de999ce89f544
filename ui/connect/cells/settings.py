# @title Settings { display-mode: "form" }
# @markdown How the app reaches this machine. ngrok wants an account and its authtoken, both free.
tunnel = "ngrok"  # @param ["ngrok", "cloudflared", "none"]
# @markdown From dashboard.ngrok.com. Better: put it into Colab's Secrets (the key on the left)
# @markdown as NGROK_AUTHTOKEN and leave this empty; then it does not stand in this file.
ngrok_token = ""  # @param {type:"string"}
# @markdown Your own domain at ngrok, if you have one; the link then stays the same.
ngrok_domain = ""  # @param {type:"string"}
# @markdown A model of the list, or any hub id, folder or file that `--model` takes.
model = "%MODEL%"  # @param %MODELS% {allow-input: true}
# @markdown Minutes that the status below is shown. The engine goes on without anybody looking.
status_minutes = 10  # @param {type:"integer"}
