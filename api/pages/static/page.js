// What the pages do better with a script: the pay code renews itself, a receipt prints, the page can be installed.
"use strict";

const RENEW_BEFORE_S = 10; // a new code comes while the old one is still good
const LEAST_WAIT_S = 5;
const TRY_AGAIN_S = 5;

function keepCodeFresh(holder, said) {
  let timer = 0;
  let goodUntil = 0;

  const plan = () => {
    const life = Number(holder.querySelector("[data-life]").dataset.life);
    goodUntil = Date.now() + life * 1000;
    wait(Math.max(life - RENEW_BEFORE_S, LEAST_WAIT_S));
  };
  const wait = (seconds) => {
    clearTimeout(timer);
    timer = setTimeout(renew, seconds * 1000);
  };
  const renew = async () => {
    if (document.hidden) return; // nobody looks: the next look asks for a new one
    try {
      const answer = await fetch(holder.dataset.source, { cache: "no-store", redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      holder.innerHTML = await answer.text();
      holder.hidden = false;
      said.textContent = said.dataset.new;
      plan();
    } catch {
      said.textContent = said.dataset.lost;
      if (Date.now() > goodUntil) holder.hidden = true; // an expired code is no code
      wait(TRY_AGAIN_S);
    }
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) renew();
  });
  plan();
}

const holder = document.getElementById("pay-code");
if (holder) keepCodeFresh(holder, document.getElementById("pay-said"));

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

if ("serviceWorker" in navigator) navigator.serviceWorker.register("/worker.js");
