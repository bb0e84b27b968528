"use strict";

const player = document.getElementById("trajectory");
if (player) {
  const frames = Array.from(player.querySelectorAll("#trajectory-frame img"));
  const slider = document.getElementById("trajectory-slider");
  const time = document.getElementById("trajectory-time");
  const button = document.getElementById("trajectory-play");
  const last = frames.length - 1;
  const interval = Math.min(200, Math.max(40, 4000 / frames.length));
  let timer = null;

  const show = (index) => {
    frames.forEach((frame, at) => { frame.hidden = at !== index; });
    slider.value = String(index);
    slider.setAttribute("aria-valuetext", frames[index].dataset.time);
    time.textContent = frames[index].dataset.time;
  };
  const pause = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  const advance = () => {
    show(Math.min(last, Number(slider.value) + 1));
    if (Number(slider.value) === last) pause();
  };
  const toggle = () => {
    if (timer !== null) return pause();
    if (Number(slider.value) === last) show(0);
    timer = setInterval(advance, interval);
    button.textContent = "Pause";
  };

  slider.addEventListener("input", () => { pause(); show(Number(slider.value)); });
  slider.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    toggle();
  });
  button.addEventListener("click", toggle);
  // A browser restores the slider's place when a page is loaded again, but not the frame.
  show(last);
}

// Paper has nothing to click on.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
});
