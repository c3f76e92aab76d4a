/* The shop's own file: browsers take a service worker from the page's site only. */
importScripts("{{CHANNEL}}/push/sw.js");
