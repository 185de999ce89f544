# @title A film { display-mode: "form" }
make_a_film = False  # @param {type:"boolean"}
# @markdown One prompt for each scene, with a | between them.
prompts = "dawn over the sea | a city at night"  # @param {type:"string"}
seconds = 8  # @param {type:"number"}
name = "film.mp4"  # @param {type:"string"}
if make_a_film:
    scenes = [prompt.strip() for prompt in prompts.split("|") if prompt.strip()]
    hosted.film(DATA, scenes, seconds, model, hosted.drive() / name)
