# @title Packages and GPU { display-mode: "form" }
from engine import hosted

hosted.look_at_gpu()
hosted.install()
hosted.fetch_network()
