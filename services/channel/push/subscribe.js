/* Subscribes a browser to web pushes. On a page of the shop, over https:

     <script>window.cdpPush=window.cdpPush||function(){(cdpPush.q=cdpPush.q||[]).push(arguments)}</script>
     <script async src="https://EVENTS.EXAMPLE/push/subscribe.js" data-key="WRITE-ONLY KEY" data-workspace="SHOP"></script>
     <button data-cdp-push hidden>Tell me about offers</button>

   Attributes of the tag:
     data-key                  the write-only key of the tracker
     data-workspace            whose public key to subscribe with; or data-vapid="PUBLIC KEY", which asks nobody
     data-worker="/cdp-sw.js"  the shop's file with importScripts("https://EVENTS.EXAMPLE/push/sw.js")
     data-events               where facts go, if that is not where this script comes from
   Calls, each with a function that is told the state at last: "subscribed", "open" (may be asked), "denied",
   "unsupported" or "failed":
     cdpPush("subscribe", {token: "…", told: f})   asks the person; call it on a click, browsers want that
     cdpPush("unsubscribe", {told: f})             takes this browser back
     cdpPush("state", {told: f})
   `token` names who has logged in, by the same signed token as an inbox; without it the tracker's cookie does.
   A button with the attribute data-cdp-push shows itself while the person may be asked, and asks on a click.

   Consent is told when the person has agreed to be asked and the browser has their permission, and never by a later
   visit: who unsubscribes elsewhere stays unsubscribed. Stored in localStorage: cdp_push, the address of the
   subscription as it was told last. */
(function (w, d) {
  "use strict";
  var tag = d.currentScript, set = tag.dataset, nav = navigator, TOLD = "cdp_push";
  var events = new URL(set.events || "..", tag.src).href, worker = set.worker || "/cdp-sw.js";
  if (w.cdpPush && w.cdpPush.on) return;

  function get() { try { return w.localStorage.getItem(TOLD); } catch (e) { return null; } }
  function put(text) {
    try {
      if (text) w.localStorage.setItem(TOLD, text);
      else w.localStorage.removeItem(TOLD);
    } catch (e) { /* it is told once more then */ }
  }
  function cookie(name) { return (d.cookie.match("(?:^|; )" + name + "=([^;]*)") || [])[1]; }
  var supported = "serviceWorker" in nav && "PushManager" in w && "Notification" in w;

  function registration() {
    var known = worker + (worker.indexOf("?") < 0 ? "?" : "&") + "at=" + encodeURIComponent(events) +
      "&key=" + encodeURIComponent(set.key);
    return nav.serviceWorker.register(known).then(function () { return nav.serviceWorker.ready; });
  }
  function publicKey() {
    if (set.vapid) return Promise.resolve(set.vapid);
    return fetch(new URL("key/" + encodeURIComponent(set.workspace), tag.src)).then(function (answer) {
      if (!answer.ok) throw new Error("cdp: no key for pushes, " + answer.status);
      return answer.json();
    }).then(function (told) { return told.publicKey; });
  }
  function bytes(text) {
    var raw = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(raw, function (one) { return one.charCodeAt(0); });
  }
  function same(subscription, key) {
    var kept = subscription.options && subscription.options.applicationServerKey;
    return !kept || String(new Uint8Array(kept)) == String(bytes(key));
  }

  function tell(subscription, more) {
    var body = Object.assign({ writeKey: set.key, subscription: subscription, anonymousId: cookie("cdp_vid"),
      page: w.location.href }, more);
    return fetch(new URL("t/push", events), { method: "POST", body: JSON.stringify(body), credentials: "include",
      keepalive: true, headers: { "content-type": "text/plain" } }).then(function (answer) {
      if (!answer.ok) throw new Error("cdp: the subscription was not taken, " + answer.status);
    });
  }

  function ask(token) {
    return Notification.requestPermission().then(function (answer) {
      if (answer != "granted") return answer == "denied" ? "denied" : "open";
      return Promise.all([registration(), publicKey()]).then(function (both) {
        var manager = both[0].pushManager, options = { userVisibleOnly: true, applicationServerKey: bytes(both[1]) };
        return manager.getSubscription().then(function (old) {
          // One that was made with another key cannot be sent to, and stands in the way of a new one.
          return old && !same(old, both[1]) ? old.unsubscribe() : null;
        }).then(function () { return manager.subscribe(options); });
      }).then(function (subscription) {
        return tell(subscription, { agreed: true, contactToken: token }).then(function () {
          put(subscription.endpoint);
          return "subscribed";
        });
      });
    });
  }
  function current() {
    if (!supported) return Promise.resolve(null);
    return nav.serviceWorker.getRegistration(worker).then(function (found) {
      return found ? found.pushManager.getSubscription() : null;
    });
  }
  function state() {
    if (!supported) return Promise.resolve("unsupported");
    if (Notification.permission == "denied") return Promise.resolve("denied");
    return current().then(function (found) { return found && get() ? "subscribed" : "open"; });
  }
  // Out is out, with or without a network: what nobody was told of, the push service answers at the next push.
  function take() {
    return current().then(function (found) {
      if (!found) return "open";
      var told = found.toJSON();
      put("");
      return found.unsubscribe().then(function () {
        return tell(told, { gone: true }).catch(function (e) { console.warn("cdp", e); });
      }).then(function () { return "open"; });
    });
  }
  // The browser may have renewed the subscription: the person agreed to pushes, not to one address.
  function renew() {
    return current().then(function (found) {
      if (!found || !get() || get() == found.endpoint) return null;
      return tell(found, {}).then(function () { put(found.endpoint); });
    });
  }

  function show(now) {
    d.querySelectorAll("[data-cdp-push]").forEach(function (button) { button.hidden = now != "open"; });
    return now;
  }
  var api = {
    subscribe: function (more) { return supported ? ask(more.token) : state(); },
    unsubscribe: take,
    state: state
  };
  function call(args) {
    var more = args[1] || {};
    if (!api.hasOwnProperty(args[0])) return;
    api[args[0]](more).catch(function (e) {
      console.warn("cdp", args[0], e);
      return "failed";
    }).then(function (now) {
      if (now != "failed") show(now);
      if (more.told) more.told(now);
    });
  }
  var queue = (w.cdpPush || {}).q || [];
  w.cdpPush = function () { call(arguments); };
  w.cdpPush.on = 1;
  d.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-cdp-push]");
    if (button) call(["subscribe", { token: button.dataset.token }]);
  });
  state().then(show).then(renew).catch(function (e) { console.warn("cdp", e); });
  queue.forEach(call);
})(window, document);
