# @title Status { display-mode: "form" }
hosted.watch(DATA, status_minutes)
