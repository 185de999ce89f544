// Requests a conversion of a film from the app and reports its progress.

// Resolves when the film exists in that format; rejects with an error message.
export async function converted(film, kind, onProgress) {
  const lost = "The app did not answer. Is it still running?";
  const answer = await fetch(film.convert.replace("KIND", kind)).catch(() => { throw Error(lost); });
  if (!answer.ok) throw Error("This film is not here any more. Reload the page.");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let share = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => { throw Error(lost); });
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const message = JSON.parse(line);
      if (message.error) throw Error(message.error);
      share = message.done;
      onProgress(share);
    }
  }
  if (share < 1) throw Error(lost);
  return kind === film.format ? film.src : `${film.src}&as=${kind}`;
}
