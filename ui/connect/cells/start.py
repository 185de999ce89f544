# @title The engine { display-mode: "form" }
token = hosted.ngrok_token(ngrok_token) if tunnel == "ngrok" else ""
options = hosted.Options(tunnel=tunnel, token=token, domain=ngrok_domain, model=model)
link = hosted.start(DATA, KEY, options)
print("\nPairing link. Paste this whole line on the app's Connection page, then press Pair:\n")
print(link)
