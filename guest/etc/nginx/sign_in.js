// Limits wrong passwords, so that no one guesses them and no stranger locks an account.
//
// Open WebUI's own limit counts attempts by e-mail only: fifteen from anywhere lock the account
// everywhere. It is off (guest/etc/ollamazure/open-webui/sitecustomize.py). Here an address that
// has signed in to an account has a count of its own, and all others share one. Right passwords do
// not count. The zones are in nginx.conf; their keys are hashes, so they hold no e-mail.
import crypto from "crypto";
import pages from "pages.js";

// Wrong passwords until a pause: together for all addresses that have not signed in to the account,
// and for each one that has. Open WebUI's limit with a second factor is ten in fifteen minutes.
const STRANGERS = 5;
const KNOWN = 20;
const WAIT_MS = 100;

// For POST requests to /api/v1/auths/signin and /api/v1/auths/ldap.
async function signIn(request) {
    const attempt = read(request);
    if (!attempt) {
        refuse(request, 422, "A sign-in needs a user and a password, as JSON.");
        return;
    }
    const account = hash(request.uri, attempt.user.toLowerCase());
    const pair = hash(account, request.remoteAddress);
    const known = ngx.shared.signed_in.has(pair);
    const counter = known ? pair : account;
    if (!await begin(counter, known ? KNOWN : STRANGERS)) {
        request.headersOut["Retry-After"] = "900";
        refuse(request, 429, tooMany(known, pages.textsFor(request)));
        return;
    }
    const reply = await request.subrequest(`/sign-in${request.uri}`, {
        method: "POST",
        body: JSON.stringify(attempt.form),
    });
    if (reply.status === 200) {
        ngx.shared.signed_in.set(pair, 1);
    } else if (reply.status === 400 || reply.status === 401) {
        ngx.shared.wrong_passwords.incr(counter, 1, 0);
    }
    // Only now: other workers must not start an attempt between the two.
    ngx.shared.signing_in.incr(counter, -1, 0);
    pass(request, reply);
}

// The user and the form that Open WebUI gets, only from what was read here; undefined if it is not
// a sign-in.
function read(request) {
    try {
        const given = JSON.parse(request.requestText);
        const field = request.uri.endsWith("/ldap") ? "user" : "email";
        if (typeof given[field] === "string" && typeof given.password === "string") {
            const form = { password: given.password };
            form[field] = given[field];
            return { user: given[field], form: form };
        }
    } catch (invalid) {
        // Not JSON.
    }
    return undefined;
}

// Whether an attempt may start. Attempts that run count as wrong until they are answered, so that
// many at once are not more guesses; an attempt that exceeds the limit only with them waits.
async function begin(counter, limit) {
    for (;;) {
        const wrong = ngx.shared.wrong_passwords.get(counter) || 0;
        if (wrong >= limit) {
            return false;
        }
        if (wrong + ngx.shared.signing_in.incr(counter, 1, 0) <= limit) {
            return true;
        }
        ngx.shared.signing_in.incr(counter, -1, 0);
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    }
}

function tooMany(known, texts) {
    return texts.too_many_passwords + (known ? "" : ` ${texts.known_address}`);
}

function refuse(request, status, detail) {
    request.headersOut["Content-Type"] = "application/json";
    request.return(status, JSON.stringify({ detail: detail }));
}

function pass(request, reply) {
    for (const name in reply.headersOut) {
        if (!["content-length", "transfer-encoding", "connection"].includes(name.toLowerCase())) {
            request.headersOut[name] = reply.headersOut[name];
        }
    }
    request.return(reply.status, reply.responseBuffer);
}

function hash(first, second) {
    return crypto.createHash("sha256").update(`${first} ${second}`).digest("base64url");
}

export default { signIn };
