// Passkeys: what the server asks for goes to the device, and what the device says goes back.
(function () {
  "use strict";
  function raw(text) {
    var plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, function (c) { return c.charCodeAt(0); });
  }
  function text(buffer) {
    var plain = String.fromCharCode.apply(null, new Uint8Array(buffer));
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }
  function send(address, body, token) {
    var headers = { "Content-Type": "application/json" };
    if (token) { headers["X-Form-Token"] = token; }
    return fetch(address, { method: "POST", headers: headers, body: JSON.stringify(body), redirect: "error" })
      .then(function (answer) {
        var isJson = (answer.headers.get("Content-Type") || "").indexOf("json") >= 0;
        return (isJson ? answer.json() : Promise.resolve({})).then(function (told) {
          if (!answer.ok && told.go) { window.location.assign(told.go); }
          if (!answer.ok) { throw new Error("refused"); }
          return told;
        });
      });
  }
  function told(credential, names) {
    var response = {};
    names.forEach(function (name) {
      if (credential.response[name]) { response[name] = text(credential.response[name]); }
    });
    return { id: credential.id, rawId: text(credential.rawId), type: credential.type,
             response: response, clientExtensionResults: {} };
  }
  function say(words) {
    var said = document.getElementById("said");
    said.className = "alert alert-danger";
    said.textContent = words;
  }
  var add = document.querySelector("[data-passkey-add]");
  if (add) {
    add.addEventListener("submit", function (event) {
      event.preventDefault();
      var token = add.dataset.token;
      send("/console/account/passkeys/challenge", {}, token).then(function (asked) {
        var options = asked.options;
        options.challenge = raw(options.challenge);
        options.user.id = raw(options.user.id);
        (options.excludeCredentials || []).forEach(function (one) { one.id = raw(one.id); });
        return navigator.credentials.create({ publicKey: options }).then(function (made) {
          return send("/console/account/passkeys", { ticket: asked.ticket, name: add.elements.name.value,
            credential: told(made, ["attestationObject", "clientDataJSON"]) }, token);
        });
      }).then(function (done) {
        if (!done.codes.length) { window.location.assign(done.go); return; }
        var shown = add.querySelector("[data-passkey-codes]"), list = shown.querySelector("ul");
        done.codes.forEach(function (code) {
          var line = document.createElement("li"), inner = document.createElement("code");
          inner.textContent = code;
          line.appendChild(inner);
          list.appendChild(line);
        });
        shown.hidden = false;
      }).catch(function () { say(add.dataset.failed); });
    });
  }
  function show(address, into, token, more) {
    return send(address, {}, token).then(function (asked) {
      var options = asked.options;
      options.challenge = raw(options.challenge);
      return navigator.credentials.get({ publicKey: options }).then(function (shown) {
        var body = { ticket: asked.ticket, credential: told(shown,
          ["authenticatorData", "clientDataJSON", "signature", "userHandle"]) };
        Object.keys(more).forEach(function (name) { body[name] = more[name]; });
        return send(into, body, token);
      });
    }).then(function (done) { window.location.assign(done.go); });
  }
  var prove = document.querySelector("[data-passkey-prove]");
  if (prove) {
    prove.addEventListener("click", function () {
      show("/console/account/proof/challenge", "/console/account/proof/passkey", prove.dataset.token,
        { next: prove.dataset.next }).catch(function () { say(prove.dataset.failed); });
    });
  }
  var enter = document.querySelector("[data-passkey-enter]");
  if (enter) {
    enter.addEventListener("click", function () {
      show("/console/passkey/challenge", "/console/passkey/sign-in", undefined, {})
        .catch(function () { say(enter.dataset.failed); });
    });
  }
})();
