// Where there is no connection, this says so. It keeps no balance, no history and no code: nothing old is ever shown.
"use strict";

const KEPT = "offline-1";
const FILES = ["/offline", "/static/style.css", "/static/icon.svg"];

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(KEPT)
      .then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== KEPT).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const path = new URL(event.request.url).pathname;
  if (event.request.mode === "navigate" && event.request.method === "GET") {
    event.respondWith(fetch(event.request).catch(() => caches.match("/offline")));
  } else if (path.startsWith("/static/")) {
    event.respondWith(fetch(event.request).catch(() => caches.match(path).then((found) => found || Response.error())));
  }
});
