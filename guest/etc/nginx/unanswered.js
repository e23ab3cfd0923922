// Answers for Open WebUI when it gave no answer: a page for users who open the chat, JSON for
// programs and for the scripts of a page, which read the field `detail`.
import fs from "fs";

const FOLDER = "/etc/nginx";
// What start-open-webui is doing; after a restart of the machine there is no such file.
const STATUS = "/run/ollamazure/status.txt";

const PREPARING = "The chat is being prepared. Try again in a minute.";
const FAILED =
    "Open WebUI did not complete its answer. Try again; if this happens again, an administrator " +
    "finds the reason with: sudo journalctl --unit open-webui";

function answer(request) {
    const status = connected(request) ? Number(request.variables.upstream_status) || 502 : 503;
    request.headersOut["Cache-Control"] = "no-store";
    if (wantsJson(request)) {
        request.headersOut["Content-Type"] = "application/json";
        const detail = status === 503 ? PREPARING : FAILED;
        request.return(status, JSON.stringify({ detail: detail }));
        return;
    }
    request.headersOut["Content-Type"] = "text/html";
    request.return(status, status === 503 ? preparing(request) : failed());
}

// Whether Open WebUI accepted the connection, of this request or of the one for its session.
function connected(request) {
    const session = request.variables.session_status;
    return /\d/.test(request.variables.upstream_connect_time || "")
        || !["", "200", "503"].includes(session);
}

function wantsJson(request) {
    const accepted = request.headersIn.Accept || "";
    if (accepted.includes("text/html")) {
        return false;
    }
    const program = /^\/(api|ollama|openai)\//.test(request.uri);
    return accepted.includes("json") || (program && accepted !== "");
}

// The page tries the same address again, except the one to which an identity provider sent the
// user: its code is valid once.
function preparing(request) {
    const again = request.uri.startsWith("/oauth/") ? "5; url=/" : "5";
    const page = fs.readFileSync(`${FOLDER}/preparing.html`, "utf8");
    return page.replace("AGAIN", again).replace("STATUS", readStatus());
}

function readStatus() {
    try {
        return fs.readFileSync(STATUS, "utf8");
    } catch (missing) {
        return "";
    }
}

function failed() {
    return fs.readFileSync(`${FOLDER}/failed.html`, "utf8");
}

export default { answer };
