"use strict";
// Unpacks what the page holds (base64 of zlib): data become text again, then the scripts run in their order.
(async () => {
  const unpacked = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).text();
  };
  const block = document.getElementById("data");
  if (block) block.textContent = await unpacked(block);
  for (const script of document.querySelectorAll(".packed-script")) {
    const running = document.createElement("script");
    running.textContent = await unpacked(script);
    script.replaceWith(running);
  }
  document.documentElement.dataset.ready = "yes";
})();
