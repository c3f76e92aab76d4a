/* The service worker of web pushes. Browsers take one from the page's own site only, so the shop keeps one file there,
   /cdp-sw.js by default:

     importScripts("https://EVENTS.EXAMPLE/push/sw.js");

   It shows what a push brings, tells that it was shown, and on a click tells that and opens the signed link, which
   counts the click and leads on. A push that is not ours is left to whoever else listens.
   It is registered by subscribe.js with `?at=` (where facts go) and `&key=` (a write-only key), by which it tells of a
   subscription that the browser replaced by itself. Nothing is stored here. */
(function (w) {
  "use strict";
  function tell(url, method) {
    if (!url) return Promise.resolve();
    return fetch(url, { method: method, mode: "no-cors", keepalive: true, cache: "no-store" }).catch(function () {
      /* Nobody is told: a push that was shown without a network has still been shown. */
    });
  }
  function read(event) {
    try {
      var told = event.data.json();
      return told && told.title && told.id ? told : null;
    } catch (e) { return null; }
  }

  w.addEventListener("push", function (event) {
    var told = event.data && read(event);
    if (!told) return;
    event.waitUntil(w.registration.showNotification(told.title, {
      body: told.body, icon: told.icon, image: told.image, tag: told.tag, renotify: true,
      data: { cdp: told.id, url: told.url, opened: told.opened }
    }).then(function () { return tell(told.shown, "POST"); }));
  });

  w.addEventListener("notificationclick", function (event) {
    var data = event.notification.data;
    if (!data || !data.cdp) return;
    event.notification.close();
    event.waitUntil(Promise.all([tell(data.opened, "GET"), lead(data.url)]));
  });
  function lead(url) {
    if (url) return w.clients.openWindow(url);
    return w.clients.matchAll({ type: "window" }).then(function (open) {
      return open.length ? open[0].focus() : w.clients.openWindow(w.registration.scope);
    });
  }

  w.addEventListener("pushsubscriptionchange", function (event) {
    var told = new URL(w.location.href).searchParams, before = event.oldSubscription, at = told.get("at");
    if (!at || !before) return;
    event.waitUntil(Promise.resolve(event.newSubscription || w.registration.pushManager.subscribe(before.options))
      .then(function (now) {
        return fetch(new URL("t/push", at), { method: "POST", headers: { "content-type": "text/plain" },
          body: JSON.stringify({ writeKey: told.get("key"), subscription: now, replaces: before,
            page: w.registration.scope }) });
      }));
  });
})(self);
